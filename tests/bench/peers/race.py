"""Races of reshoot against its peers on this machine's CPU.

For each case a model with random weights is made; all sides compute from it and from the same
inputs, and their results are compared before anything is timed. Then the sides take turns, one
step each; the ratio is that of the medians of the rounds. Every side is a process that stays; what
it holds in memory is its peak during the steps (weights, mapped or not, are in it once).

Results are saved after each race; what is there already, from the same commit, is not run again.
"""
import argparse
import datetime
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import table
import torch
from cases import CASES
from sides import Own, Sdcpp, Torch

# Relative L2 error that reshoot may have against PyTorch in fp32: sums of some thousand products in
# fp32, and the eight bits of bf16 (2^-9 a rounding) over the roundings of a block.
LIMIT = {"fp32": 1e-4, "bf16": 4e-2}
BEHIND = 1.3  # a heavy case leaves out a mode of PyTorch that takes so many times the other's time


def error(x, reference):
    """The largest relative L2 error of a kind of result: gradients count together."""
    worst = 0.0
    names = [k for k in reference if k in x]
    grads = [k for k in names if k.startswith("grad.")]
    groups = [[k] for k in names if k not in grads] + ([grads] if grads else [])
    for group in groups:
        difference = sum(float((x[k].double() - reference[k].double()).square().sum())
                         for k in group)
        whole = sum(float(reference[k].double().square().sum()) for k in group)
        worst = max(worst, (difference / whole) ** 0.5)
    assert groups, "nothing to compare"
    return worst


class Race:
    def __init__(self, args, name, threads, saved):
        self.args, self.name, self.threads, self.case = args, name, threads, CASES[name]
        self.errors = {}  # of all that were opened, also of those that were left out then
        for race in saved["races"]:
            if race["case"] == name:
                self.errors.update(race.get("errors", {}))
        self.sides = []

    def start(self, folder):
        """All processes at once: the interpreters load while others read their models."""
        case, args = self.case, self.args
        own = args.precisions
        if case.heavy and not args.heavy_fp32:
            own = [p for p in own if p != "fp32"] or own
        self.precisions = own
        modes = [m for m in args.modes if ("fp32" if m.endswith("fp32") else "bf16") in own]
        if case.kind not in ("train", "sample"):
            modes = [m for m in modes if not m.startswith("compile")]
        for p in own:
            self.sides.append(Own(args.reshoot, case, p, self.threads, folder, args.rounds))
        for m in modes:
            self.sides.append(Torch(case.kind, m, self.threads, folder))
        if args.sdcpp and case.kind == "sample" and case.dit:
            for p in own:
                self.sides.append(Sdcpp(args.sdcpp, p, case, self.threads, folder))
        unknown = any(s.name not in self.errors for s in self.sides)
        if unknown and "fp32" not in modes:  # what the others are held against
            self.sides.append(Torch(case.kind, "fp32", self.threads, folder))
        for s in self.sides:
            s.open()

    def compare(self):
        """A step of each that is not timed; what it gave is held against PyTorch in fp32."""
        took = {s.name: s.step(timed=False)[0] for s in self.sides}
        unknown = [s for s in self.sides if s.name not in self.errors]
        if unknown:
            reference = next(s for s in self.sides if s.name == "torch fp32").result()
        for s in unknown:
            self.errors[s.name] = error(s.result(), reference)
        for s in self.sides:
            if s.label == "reshoot" and not self.errors[s.name] < self.limit(s.precision):
                raise RuntimeError(f"{s.name} differs from PyTorch by {self.errors[s.name]:.2e}")
        half = [s for s in self.sides if s.label == "torch" and s.precision == "bf16"]
        fastest = min((took[s.name] for s in half), default=0)
        for s in list(self.sides):
            behind = s in half and self.case.heavy and took[s.name] > BEHIND * fastest
            if behind or s.precision not in self.precisions:
                self.sides.remove(s)
                s.close()
                s.kill()

    def limit(self, precision):
        """What reshoot may be off; where a model is so sensitive that PyTorch's own bf16 is off by
        more (umT5's attention is not scaled), as much as the better of its modes."""
        peers = [e for n, e in self.errors.items() if n in ("torch autocast", "torch bf16")]
        return max([LIMIT[precision]] + ([min(peers)] if precision == "bf16" and peers else []))

    def run(self):
        folder = tempfile.mkdtemp(prefix="reshoot-race-", dir=self.args.dir)
        limit = threading.Timer(self.args.limit, lambda: [s.kill() for s in list(self.sides)])
        limit.start()
        try:
            self.case.make(folder)
            self.start(folder)
            self.compare()
            for _ in range(self.args.rounds):
                for s in self.sides:
                    s.step()
            for s in self.sides:
                s.close()
            return [self.row(s) for s in self.sides]
        finally:
            limit.cancel()
            for s in self.sides:
                s.kill()
            shutil.rmtree(folder)

    def row(self, s):
        return dict(name=s.name, label=s.label, mode=s.mode, precision=s.precision,
                    wall=statistics.median(s.wall), least=min(s.wall), most=max(s.wall),
                    cpu=statistics.median(s.cpu), walls=s.wall, cpus=s.cpu, peak=s.peak,
                    opened=s.opened, runtime=s.runtime, error=self.errors[s.name])


def about(args):
    """Machine, commit and versions, as the tables are headed."""
    doc = json.loads(subprocess.run([args.reshoot, "bench", "step", "--dim", "48", "--heads", "2",
                                     "--tokens", "4", "--steps", "0", "--json"], check=True,
                                    capture_output=True, text=True).stdout)
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line)
    import diffusers
    import peft
    import transformers
    versions = (f"torch {torch.__version__}, diffusers {diffusers.__version__}, "
                f"transformers {transformers.__version__}, peft {peft.__version__}")
    return dict(machine=f"{cpu}, {os.cpu_count()} cores", commit=str(doc.get("commit", "?")),
                versions=versions, rounds=args.rounds)


def load(args):
    head = about(args)
    try:
        with open(args.out) as f:
            saved = json.load(f)
    except (OSError, ValueError):
        saved = {"races": []}
    if any(saved.get(k) != v for k, v in head.items()) or args.again:
        saved["races"] = []
    saved["races"] = [r for r in saved["races"] if "rows" in r]  # failed ones are tried again
    return {**saved, **head}


def save(args, saved):
    with open(args.out + ".part", "w") as f:
        json.dump(saved, f, indent=1)
    os.replace(args.out + ".part", args.out)
    with open(os.path.splitext(args.out)[0] + ".md", "w") as f:
        f.write(table.report(saved))


def wanted(args, saved):
    done = {(r["case"], r["threads"]) for r in saved["races"]}
    names = [n for n in CASES if re.search(args.cases, n) and
             not (args.skip and re.search(args.skip, n))]
    return [(n, t) for n in names for t in args.threads if (n, t) not in done]


def expected(todo, rounds):
    """Seconds; models and processes are opened, 12 s, and steps get shorter with threads."""
    return sum(12 + CASES[n].seconds * (rounds + 1) / 6 / (1 if t == 1 else 1.8) for n, t in todo)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words = lambda text: text.split(",")
    p.add_argument("--reshoot", required=True, help="the program (run.sh gives it)")
    p.add_argument("--sdcpp", help="sdcpp_side (run.sh gives it where it was built)")
    p.add_argument("--table", action="store_true", help="print what is saved, run nothing")
    p.add_argument("--cases", default=".", help="regular expression on the names")
    p.add_argument("--skip", help="regular expression, too")
    p.add_argument("--threads", type=lambda t: [int(x) for x in t.split(",")], default=[1, 2])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--precisions", type=words, default=["bf16", "fp32"])
    p.add_argument("--heavy-fp32", action="store_true",
                   help="also in heavy cases, which race bf16 only: half as long again")
    p.add_argument("--modes", type=words, default=["fp32", "autocast", "bf16"],
                   help="of torch; also compile-fp32, compile-bf16")
    p.add_argument("--limit", type=int, default=1500, help="seconds of a race before it is ended")
    p.add_argument("--dir", help="for models")
    p.add_argument("--out", required=True, help="results, JSON; tables beside it as .md")
    p.add_argument("--again", action="store_true", help="forget what is saved there")
    return p.parse_args()


def run_all(args, saved):
    todo = wanted(args, saved)
    seconds = expected(todo, args.rounds)
    end = datetime.datetime.now() + datetime.timedelta(seconds=seconds)
    print(f"{len(todo)} races, {len(saved['races'])} done before: about {seconds / 60:.0f} minutes "
          f"on a machine of its own, until {end:%H:%M}; results in {args.out}", file=sys.stderr)
    for name, threads in todo:
        start = time.monotonic()
        entry = dict(case=name, threads=threads, load=os.getloadavg()[0])
        try:
            race = Race(args, name, threads, saved)
            entry["rows"] = race.run()
            entry["errors"] = race.errors
        except Exception as e:  # the other races go on
            entry["failed"] = f"{type(e).__name__}: {e}"
        entry["seconds"] = time.monotonic() - start
        saved["races"].append(entry)
        save(args, saved)
        only = {**saved, "races": [entry]}
        print(f"{name}, {threads} threads, {entry['seconds']:.0f} s\n" + table.summary(only) +
              table.summary(only, "sd.cpp") + table.failures(only), file=sys.stderr, flush=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # sides end, models are removed
    args = options()
    saved = load(args)
    if not args.table:
        run_all(args, saved)
    print(table.report(saved))
    sys.exit(1 if any("failed" in r for r in saved["races"]) else 0)


main()
