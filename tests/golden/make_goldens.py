"""Write the golden cases: `make_goldens.py [GLOB ...]`; default is all but the long ones."""

import importlib
import sys
from fnmatch import fnmatch

import torch

MODULES = ["dit", "adapters", "vae", "encoders", "samplers", "sample", "spec11", "smallworld"]


def report(case, tensors):
    """One line per case: enough to see values that explode or vanish."""
    rms = {k: t.double().pow(2).mean().sqrt().item() for k, t in tensors.items()}
    low, high = (min(rms, key=rms.get), max(rms, key=rms.get)) if rms else ("", "")
    span = f"rms {rms[low]:.3g} ({low}) .. {rms[high]:.3g} ({high})" if rms else "digests only"
    print(f"{case.name:22} {len(case.doc['expect']):3} outputs, {span}")


def main(globs):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for module in map(importlib.import_module, MODULES):
        long_cases = getattr(module, "LONG", ())
        for name in module.CASES:
            wanted = any(fnmatch(name, g) for g in globs) if globs else name not in long_cases
            if wanted:
                case = module.make(name)
                report(case, case.write())


if __name__ == "__main__":
    main(sys.argv[1:])
