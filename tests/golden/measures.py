"""PSNR and SSIM of scikit-image for tests/unit/test_measure.c: `measures.py` prints the two rows there.

Needs scikit-image (0.26 was used) and numpy; the fill rule is repeated here because fill.py needs torch.
"""

import numpy as np
from skimage.metrics import structural_similarity

SHAPE = (3, 23, 31, 3)


def noise(name, scale, mid):
    """Bytes trunc(mid + scale * u), u by the fill rule of README.md."""
    x = 2166136261
    for byte in name.encode():
        x = ((x ^ byte) * 16777619) & 0xFFFFFFFF
    out = np.empty(np.prod(SHAPE), np.float32)
    for i in range(out.size):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = mid + scale * (2 * (x >> 8) / 2**24 - 1)
    return out.astype(np.uint8).reshape(SHAPE)


def main():
    a = noise("measure.a", 90, 120)
    b = (a.astype(int) - 30 + noise("measure.d", 30, 30)).astype(np.uint8)
    mask = np.zeros(SHAPE[:3], bool)
    mask[:, 2:11, 20:31] = True
    mask[1].reshape(-1)[:5] = True
    weights = np.array([0.299, 0.587, 0.114])
    maps = [
        structural_similarity(
            x @ weights,
            y @ weights,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )[1]
        for x, y in zip(a, b)
    ]
    regions = [np.ones_like(mask), mask, ~mask]
    errors = (a.astype(float) - b) ** 2
    print("ssim", ", ".join(f"{np.stack(maps)[r].mean():.15f}" for r in regions))
    print("psnr", ", ".join(f"{10 * np.log10(255**2 / errors[r].mean()):.13f}" for r in regions))


if __name__ == "__main__":
    main()
