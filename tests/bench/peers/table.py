"""The tables of the races, from what race.py saved."""
from cases import CASES


def side(race, name):
    return next((r for r in race["rows"] if r["name"] == name), None)


def peers(race, precision, label):
    return [r for r in race["rows"] if r["label"] == label and r["precision"] == precision]


def ratio(mine, theirs, key):
    """Against the better of the other side's modes."""
    return min(r[key] for r in theirs) / mine[key]


def memory(row):
    """Of a training step or a pass, without what the program and its libraries take."""
    return row["peak"] - row["runtime"]


def verdict(target, value):
    if target is None:
        return ""
    return f"{target}x, {'met' if value >= target else 'missed'}"


def line(cells):
    return "| " + " | ".join(str(c) for c in cells) + " |\n"


def races_in_order(saved):
    order = list(CASES)
    known = [r for r in saved["races"] if r["case"] in CASES and "rows" in r]
    return sorted(known, key=lambda r: (order.index(r["case"]), r["threads"]))


def summary(saved, label="torch"):
    """One line per race and precision: reshoot against a peer."""
    out = line(["case", "threads", "precision", "reshoot, wall s", label + ", wall s",
                "ratio, wall", "ratio, cpu", "asked", "peak MB", label + "'s",
                "of its peak", "of it, both without their runtime", "error", label + "'s"])
    out += line(["---"] * 14)
    n = 0
    for race in races_in_order(saved):
        for precision in ("bf16", "fp32"):
            mine = side(race, "reshoot " + precision)
            theirs = peers(race, precision, label)
            if not mine or not theirs:
                continue
            best = min(theirs, key=lambda r: r["wall"])
            small = min(theirs, key=memory)
            wall = ratio(mine, theirs, "wall")
            target = CASES[race["case"]].target if precision == "bf16" else None
            out += line([race["case"], race["threads"], precision, f"{mine['wall']:.3f}",
                         f"{best['wall']:.3f} {best['mode']}", f"{wall:.2f}x",
                         f"{ratio(mine, theirs, 'cpu'):.2f}x", verdict(target, wall),
                         f"{mine['peak'] / 1e6:.0f}", f"{small['peak'] / 1e6:.0f}",
                         f"{mine['peak'] / small['peak']:.2f}",
                         f"{memory(mine) / memory(small):.2f}",
                         f"{mine['error']:.1e}", f"{best['error']:.1e}"])
            n += 1
    return out if n else ""


def details(saved):
    out = line(["case", "threads", "side", "wall s, median", "least", "most", "cpu s", "peak MB",
                "MB before the steps", "runtime", "error"])
    out += line(["---"] * 11)
    for race in races_in_order(saved):
        for r in race["rows"]:
            out += line([race["case"], race["threads"], r["name"], f"{r['wall']:.3f}",
                         f"{r['least']:.3f}", f"{r['most']:.3f}", f"{r['cpu']:.3f}",
                         f"{r['peak'] / 1e6:.0f}", f"{r['opened'] / 1e6:.0f}",
                         f"{r['runtime'] / 1e6:.0f}", f"{r['error']:.1e}"])
    return out


def failures(saved):
    return "".join(f"{r['case']}, {r['threads']} threads: FAILED: {r['failed']}\n"
                   for r in saved["races"] if "failed" in r)


def report(saved):
    parts = [f"{saved['machine']}; reshoot {saved['commit']}; {saved['versions']}; "
             f"medians of {saved['rounds']} rounds in turns.\n", summary(saved)]
    other = summary(saved, "sd.cpp")
    if other:
        parts.append(other)
    parts += [details(saved), failures(saved)]
    return "\n".join(p for p in parts if p)
