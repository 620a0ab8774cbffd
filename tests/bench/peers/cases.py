"""What is raced: models, shapes, targets. The most important first."""
import models


class Case:
    """kind: what both sides compute; make(folder): the model and inputs; shape: tokens along each
    axis, or the clip; target: ratio asked of the bf16 race. A heavy case races bf16 only (fp32 of
    PyTorch is what its results are held against), and of PyTorch's modes those not far behind.
    seconds: of a race with one thread on a machine of its own (AMD EPYC with AVX512-BF16)."""

    def __init__(self, kind, make, shape, target, seconds, heavy=False, dit=None):
        self.kind, self.make, self.shape, self.target = kind, make, shape, target
        self.seconds, self.heavy, self.dit = seconds, heavy, dit


def transformer(kind, dim, heads, ffn, blocks, grid, target, seconds, heavy=False, image=0):
    return Case(kind, lambda d: models.dit(d, dim, heads, ffn, blocks, grid, image=image), grid,
                target, seconds, heavy, None if image else (dim, heads, ffn, blocks))


def clip(kind, frames, height, width, target, seconds):
    return Case(kind, lambda d: models.vae(d, frames, height, width), (frames, height, width),
                target, seconds, heavy=True)


CASES = {
    "train 384/1024": transformer("train", 384, 12, 1536, 2, (4, 16, 16), 1.7, 45),
    "train 384/4096": transformer("train", 384, 12, 1536, 2, (4, 32, 32), 2.5, 60, heavy=True),
    "train 1536/1024": transformer("train", 1536, 12, 8960, 1, (4, 16, 16), 1.3, 75),
    "train 1536/4096": transformer("train", 1536, 12, 8960, 1, (4, 32, 32), 1.6, 190, heavy=True),
    "train 5120/1560": transformer("train", 5120, 40, 13824, 1, (1, 30, 52), 1.2, 310, heavy=True,
                                   image=1280),
    "sample 384/4096": transformer("sample", 384, 12, 1536, 2, (4, 32, 32), 1.5, 60),
    "sample 1536/1024": transformer("sample", 1536, 12, 8960, 1, (4, 16, 16), 1.5, 60),
    "vae-encode 9x112x208": clip("vae-encode", 9, 112, 208, 1.5, 135),
    "vae-decode 5x112x208": clip("vae-decode", 5, 112, 208, 1.5, 125),
    "text umT5 2 layers": Case("text", lambda d: models.text(d, 2, 512), None, None, 50,
                               heavy=True),
    "image CLIP 4 layers": Case("image", lambda d: models.image(d, 4), None, None, 35),
    "sample 1536/4096": transformer("sample", 1536, 12, 8960, 1, (4, 32, 32), 1.5, 80,
                                    heavy=True),
}
