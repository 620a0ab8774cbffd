"""Pictures as the CLIP tower takes them: squashed to its size, then CLIP's own mean and deviation."""

import torch
import torch.nn.functional as F

SIZE = 48
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def prepare(x):
    """(B, 3, H, W) in -1..1 -> (B, 3, SIZE, SIZE); bicubic without a filter, as Wan2.1 does it."""
    x = F.interpolate(x, size=SIZE, mode="bicubic", align_corners=False) * 0.5 + 0.5
    mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (x - mean) / std
