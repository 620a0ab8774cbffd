"""The fill rule: every weight and input of a golden case is a function of its name and shape.

x0 = FNV-1a-32(name); per element in row-major order x = x*1664525 + 1013904223 mod 2^32 and
value = float32(off + scale * (2*(x>>8)/2^24 - 1)), computed in double.
"""

from fnmatch import fnmatchcase

import numpy as np
import torch

CHUNK = 1 << 20


def fnv1a(name):
    """FNV-1a, 32 bit, over the UTF-8 bytes of a name."""
    x = 2166136261
    for byte in name.encode():
        x = ((x ^ byte) * 16777619) & 0xFFFFFFFF
    return x


def _jump_tables(count):
    """a, c with x_k = a[k-1]*x_0 + c[k-1] (mod 2^32), k = 1..count, made by doubling."""
    a = np.array([1664525], dtype=np.uint32)
    c = np.array([1013904223], dtype=np.uint32)
    while a.size < count:
        a, c = np.concatenate([a, a * a[-1]]), np.concatenate([c, a * c[-1] + c])
    return a[:count], c[:count]


_A, _C = _jump_tables(CHUNK)


def fill(name, shape, scale, off=0.0):
    """The float32 tensor that the fill rule gives to this name and shape."""
    count = int(np.prod(shape, dtype=np.int64))
    out = np.empty(count, dtype=np.float32)
    x = np.uint32(fnv1a(name))
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        seq = _A[:size] * x + _C[:size]
        unit = 2.0 * (seq >> np.uint32(8)).astype(np.float64) / 16777216.0 - 1.0
        out[start : start + size] = (off + scale * unit).astype(np.float32)
        x = seq[-1]
    return torch.from_numpy(out.reshape(shape))


def rule_for(name, rules):
    """Scale and offset of the first rule whose glob matches the name."""
    for glob, scale, off in rules:
        if fnmatchcase(name, glob):
            return scale, off
    raise ValueError(f"no fill rule for {name}")


def fill_by_rules(name, shape, rules):
    """The tensor of this name under an ordered list of [glob, scale, off]."""
    scale, off = rule_for(name, rules)
    return fill(name, shape, scale, off)
