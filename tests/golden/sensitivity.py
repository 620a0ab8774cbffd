"""How strongly each golden depends on each weight: `python sensitivity.py GLOB ...`.

Every weight tensor in turn gets a tenth of its left neighbour's value mixed in; the relative
change of the outputs, in units of their tolerance, says whether the case would catch a wrong
use of that weight. Lists the weakest ones.
"""

import importlib
import sys
from fnmatch import fnmatch
from unittest import mock

import torch

import case as case_module
from fill import fill_by_rules
from make_goldens import MODULES


def outputs(module, name, touched):
    """Expected tensors of a case when one weight is disturbed."""

    def disturbed(weight, shape, rules):
        data = fill_by_rules(weight, shape, rules)
        return (
            data + 0.1 * (data.flatten().roll(1).view_as(data) - data)
            if weight == touched
            else data
        )

    with mock.patch.object(case_module, "fill_by_rules", disturbed):
        return module.make(name)


def change(base, other):
    """Largest change over the outputs, in tolerances."""
    worst = 0.0
    for key, spec in base.doc["expect"].items():
        if key in base.tensors:
            a, b = base.tensors[key].double(), other.tensors[key].double()
            rel = ((a - b).norm() / a.norm()).item()
        else:
            a, b = (torch.tensor([v for _, v in c.doc["expect"][key]["at"]]) for c in (base, other))
            rel = ((a - b).norm() / a.norm()).item()
        worst = max(worst, rel / spec["tol"])
    return worst


def main(globs):
    torch.set_num_threads(1)
    for module in map(importlib.import_module, MODULES):
        for name in module.CASES:
            if not any(fnmatch(name, g) for g in globs):
                continue
            base = outputs(module, name, None)
            weights = [w for table in base.doc["weights"].values() for w in table]
            if base.doc["component"].startswith("vae"):
                other = "decoder" if "encode" in name else "encoder"
                weights = [
                    w
                    for w in weights
                    if not w.startswith((other, "quant" if other == "encoder" else "post_quant"))
                ]
            scores = sorted((change(base, outputs(module, name, w)), w) for w in weights)
            print(
                name,
                len(weights),
                "weights; weakest:",
                ", ".join(f"{w} {s:.3g}" for s, w in scores[:6]),
            )


if __name__ == "__main__":
    main(sys.argv[1:])
