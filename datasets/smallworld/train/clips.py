"""The flat files of `reshoot-world clips`, and what the training scripts share."""

import math
import os
import time

import numpy as np
import torch


class Clips:
    """clips.u8 (N, T, H, W, 3), masks.u8 (N, T, H, W), captions.txt of one folder, mapped."""

    def __init__(self, folder, frames=17, size=96):
        self.shape = (frames, size, size)
        self.rgb = np.memmap(os.path.join(folder, "clips.u8"), np.uint8, "r").reshape(-1, *self.shape, 3)
        self.mask = np.memmap(os.path.join(folder, "masks.u8"), np.uint8, "r").reshape(-1, *self.shape)
        with open(os.path.join(folder, "captions.txt")) as f:
            self.captions = f.read().splitlines()
        assert len(self.captions) == len(self.rgb) == len(self.mask)

    def __len__(self):
        return len(self.captions)

    def video(self, i, t0=0, t1=None, y0=0, y1=None, x0=0, x1=None):
        """(3, T, H, W) float in -1..1, and the mask (1, T, H, W) as 0 or 1."""
        rgb = torch.from_numpy(np.array(self.rgb[i, t0:t1, y0:y1, x0:x1]))
        mask = torch.from_numpy(np.array(self.mask[i, t0:t1, y0:y1, x0:x1]))
        return rgb.permute(3, 0, 1, 2).float() / 127.5 - 1, (mask > 127).float()[None]


class Budget:
    """Training for a number of minutes: learning rate factor by the share of time used."""

    def __init__(self, minutes, warmup=60):
        self.start, self.seconds, self.warmup, self.step = time.time(), minutes * 60, warmup, 0

    @property
    def used(self):
        return (time.time() - self.start) / self.seconds

    def factor(self, final=0.03):
        self.step += 1
        warm = min(1.0, self.step / self.warmup)
        decay = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, (self.used - 0.3) / 0.7))))
        return warm * (final + (1 - final) * decay)

    def done(self):
        return self.used >= 1


def psnr(a, b):
    """dB of two videos in -1..1."""
    return float(10 * torch.log10(4 / (a.detach().clamp(-1, 1) - b).square().mean()))
