"""Races of reshoot against its peers, one row per case, threads and precision.

For each case a model with random weights is made, both sides compute from it and from the same
inputs, and their results are compared before anything is timed. Then the sides take turns, one
step each; the ratio is that of the medians of the rounds. Memory: resident at most during the
steps (weights, mapped or not, are in it once; the interpreter and its libraries too), and what the
steps added to what was resident before them.

    tests/bench/peers/run.sh [--cases REGEX] [--threads 1,2] [--rounds 5] [--out TABLE.md]
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import models
import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
# Relative L2 error that a side may have against fp32: sums of some thousand products in fp32, and
# the eight bits of bf16 (2^-9 a rounding) over the roundings of a block.
LIMIT = {"fp32": 1e-4, "bf16": 4e-2}


def dit_case(dim, heads, ffn, blocks, grid, **more):
    def make(folder):
        models.dit(folder, dim, heads, ffn, blocks, grid, **more)
    return make, grid


CASES = {
    "train 384/1024": ("train", *dit_case(384, 12, 1536, 2, (4, 16, 16))),
    "train 384/4096": ("train", *dit_case(384, 12, 1536, 2, (4, 32, 32))),
    "train 1536/1024": ("train", *dit_case(1536, 12, 8960, 1, (4, 16, 16))),
    "train 1536/4096": ("train", *dit_case(1536, 12, 8960, 1, (4, 32, 32))),
    "train 5120/1560": ("train", *dit_case(5120, 40, 13824, 1, (1, 30, 52), image=1280)),
    "sample 384/4096": ("sample", *dit_case(384, 12, 1536, 2, (4, 32, 32))),
    "sample 1536/1024": ("sample", *dit_case(1536, 12, 8960, 1, (4, 16, 16))),
    "sample 1536/4096": ("sample", *dit_case(1536, 12, 8960, 1, (4, 32, 32))),
    "vae-encode 9x112x208": ("vae-encode", lambda d: models.vae(d, 9, 112, 208), (9, 112, 208)),
    "vae-decode 9x112x208": ("vae-decode", lambda d: models.vae(d, 9, 112, 208), (9, 112, 208)),
    "text umT5 2 layers": ("text", lambda d: models.text(d, 2, 512), None),
    "image CLIP 4 layers": ("image", lambda d: models.image(d, 4), None),
}


class Peer:
    """torch_side.py, started and opened."""

    def __init__(self, kind, mode, threads, folder):
        self.mode = mode
        env = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.p = subprocess.Popen([sys.executable, os.path.join(HERE, "torch_side.py"), kind, mode,
                                   str(threads), folder], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, env=env)
        start = self.read()
        self.opened, self.weights = start["opened"], start["weights"]
        self.wall, self.cpu = [], []

    def read(self):
        line = self.p.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.mode} side ended")
        return json.loads(line)

    def ask(self, command):
        self.p.stdin.write(command + "\n")
        self.p.stdin.flush()
        return self.read()

    def step(self):
        r = self.ask("step")
        self.wall.append(r["wall"])
        self.cpu.append(r["cpu"])

    def close(self):
        self.peak = self.ask("quit")["peak"]
        self.p.wait()


class Own:
    """reshoot bench, one process per round (a step that is not timed, then one that is)."""

    def __init__(self, program, kind, precision, threads, folder, shape):
        self.mode = precision
        common = ["--threads", str(threads), "--json"]
        if kind in ("train", "sample"):
            self.command = [program, "bench", "step", "--model", folder, "--pass", kind, "--grid",
                            ",".join(map(str, shape)), "--rank", str(models.RANK), "--steps", "1",
                            *common]
        else:
            f, h, w = shape or (9, 112, 208)
            self.command = [program, "bench", "tower", folder, "--parts", kind, "--frames", str(f),
                            "--height", str(h), "--width", str(w), "--runs", "1", *common]
        if precision != "fp32":
            self.command += ["--precision", precision]
        self.kind = kind
        self.wall, self.cpu, self.peak, self.opened = [], [], 0, 0

    def step(self):
        out = subprocess.run(self.command, capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(out.stderr or out.stdout)
        r = json.loads(out.stdout)["results"][0]
        if "wall_s" in r:
            self.wall.append(r["wall_s"]["median"])
            self.cpu.append(r["cpu_s"]["median"])
        else:
            self.wall.append(r["wall_median_s"])
            self.cpu.append(r["cpu_median_s"])
        self.peak, self.opened = max(self.peak, r["peak_bytes"]), r["opened_bytes"]


def precisions(program):
    """What this build's bench can do."""
    text = subprocess.run([program, "bench", "step", "--help"], capture_output=True,
                          text=True).stdout
    return ["fp32", "bf16"] if "--precision" in text else ["fp32"]


def own_result(program, kind, precision, threads, folder):
    component = {"train": "dit-grad", "sample": "dit"}.get(kind, kind)
    inputs = load_file(os.path.join(folder, "inputs.safetensors"))
    if kind == "sample":
        inputs = {k: v for k, v in inputs.items() if ".lora_" not in k}
    wanted = os.path.join(folder, "probe.safetensors")
    out = os.path.join(folder, "reshoot.safetensors")
    save_file(inputs, wanted)
    command = [program, "probe", folder, "--component", component, "--in", wanted, "--out", out,
               "--threads", str(threads)]
    if precision != "fp32":
        command += ["--precision", precision]
    subprocess.run(command, check=True, capture_output=True)
    result = load_file(out)
    if "video_raw" in result:
        result["video"] = result["video_raw"].clamp(-1, 1)
    return result


def error(x, reference):
    """The largest relative L2 error of a kind of result: gradients count together."""
    worst = 0.0
    grads = [k for k in reference if k.startswith("grad.")]
    groups = [[k] for k in reference if k not in grads] + ([grads] if grads else [])
    for names in groups:
        difference = sum(float((x[k].double() - reference[k].double()).square().sum())
                         for k in names)
        whole = sum(float(reference[k].double().square().sum()) for k in names)
        worst = max(worst, (difference / whole) ** 0.5)
    return worst


def compare(args, kind, folder, threads, modes, own):
    """Every side's error against PyTorch in fp32; a side that is wrong does not race."""
    errors = {}
    for mode in ["fp32"] + [m for m in modes if m != "fp32"]:
        peer = Peer(kind, mode, threads, folder)
        peer.ask("step")
        peer.ask("result")
        peer.close()
        got = load_file(os.path.join(folder, "torch.safetensors"))
        if mode == "fp32":
            reference = got
        errors["torch " + mode] = error(got, reference)
    for precision in own:
        got = own_result(args.reshoot, kind, precision, threads, folder)
        errors["reshoot " + precision] = e = error(got, reference)
        if not e < LIMIT[precision]:
            raise SystemExit(f"{kind}: reshoot {precision} differs from PyTorch by {e:.2e}")
    return errors


def race(args, name, threads):
    kind, make, shape = CASES[name]
    folder = tempfile.mkdtemp(prefix="reshoot-race-", dir=args.dir)
    rows = []
    try:
        make(folder)
        modes = ["fp32"] + [m for m in args.modes.split(",") if m != "fp32"]
        if kind not in ("train", "sample"):
            modes = [m for m in modes if not m.startswith("compile")]
        own = precisions(args.reshoot)
        errors = compare(args, kind, folder, threads, modes, own)
        sides = [Own(args.reshoot, kind, p, threads, folder, shape) for p in own]
        peers = [Peer(kind, m, threads, folder) for m in modes]
        for p in peers:
            p.ask("step")  # not timed
        for _ in range(args.rounds):
            for side in sides + peers:
                side.step()
        for p in peers:
            p.close()
        for label, group in (("reshoot", sides), ("torch", peers)):
            for s in group:
                rows.append(dict(case=name, threads=threads, side=label, mode=s.mode,
                                 wall=statistics.median(s.wall), least=min(s.wall),
                                 cpu=statistics.median(s.cpu), peak=s.peak, opened=s.opened,
                                 error=errors[f"{label} {s.mode}"]))
    finally:
        shutil.rmtree(folder)
    return rows


def ratio(rows, own, modes, key):
    mine = next(r[key] for r in rows if r["side"] == "reshoot" and r["mode"] == own)
    theirs = [r[key] for r in rows if r["side"] == "torch" and r["mode"] in modes]
    return min(theirs) / mine if theirs else float("nan")


def table(rows, out):
    def line(*cells):
        out.write("| " + " | ".join(str(c) for c in cells) + " |\n")
    line("case", "threads", "side", "wall s, median", "least", "cpu s", "peak MB", "added MB",
         "error")
    line(*["---"] * 9)
    for r in rows:
        line(r["case"], r["threads"], f"{r['side']} {r['mode']}", f"{r['wall']:.3f}",
             f"{r['least']:.3f}", f"{r['cpu']:.3f}", f"{r['peak'] / 1e6:.0f}",
             f"{(r['peak'] - r['opened']) / 1e6:.0f}", f"{r['error']:.1e}")
    out.write("\n")
    line("case", "threads", "precision", "wall, median", "wall, least", "cpu",
         "memory, reshoot / best of torch")
    line(*["---"] * 7)
    for case, threads in sorted({(r["case"], r["threads"]) for r in rows},
                                key=lambda x: (list(CASES).index(x[0]), x[1])):
        some = [r for r in rows if r["case"] == case and r["threads"] == threads]
        for own in ("fp32", "bf16"):
            if not any(r["side"] == "reshoot" and r["mode"] == own for r in some):
                continue
            modes = {m for m in {r["mode"] for r in some}
                     if (m in ("fp32", "compile-fp32")) == (own == "fp32")}
            line(case, threads, own, *(f"{ratio(some, own, modes, k):.2f}x"
                                       for k in ("wall", "least", "cpu")),
                 f"{1 / ratio(some, own, modes, 'peak'):.2f}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--reshoot", required=True)
    p.add_argument("--cases", default=".", help="regular expression on the names")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--modes", default="fp32,autocast,bf16",
                   help="of torch; also compile-fp32, compile-bf16")
    p.add_argument("--dir", help="for models")
    p.add_argument("--out", help="the tables, beside standard output")
    args = p.parse_args()
    rows = []
    for name in CASES:
        if not re.search(args.cases, name):
            continue
        for threads in map(int, args.threads.split(",")):
            rows += race(args, name, threads)
            table(rows[-len([r for r in rows if r["case"] == name and r["threads"] == threads]):],
                  sys.stderr)
    print(f"torch {torch.__version__}\n")
    table(rows, sys.stdout)
    if args.out:
        with open(args.out, "w") as f:
            table(rows, f)


main()
