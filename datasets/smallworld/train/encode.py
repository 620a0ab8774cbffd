"""What the transformer trains on, computed once per clip: latents of the clip, latents of the condition (first frame,
then gray, as Wan2.1 does), and the sprite's share of every latent cell.

    python encode.py --clips TRAIN --model MODEL --out CACHE [--count N]

The arrays grow from the front; `count` holds how many clips are there, so training may start meanwhile."""

import argparse
import os

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan

import vae_whole
from clips import Clips

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--clips", required=True)
p.add_argument("--model", required=True)
p.add_argument("--out", required=True)
p.add_argument("--count", type=int, default=10**9)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--batch", type=int, default=2)
p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
a = p.parse_args()

torch.set_num_threads(a.threads)
torch.set_grad_enabled(False)
vae_whole.whole_sequences()
clips = Clips(a.clips)
n = min(a.count, len(clips))
vae = AutoencoderKLWan.from_pretrained(os.path.join(a.model, "vae")).to(a.device).eval()
mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(a.device)
std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(a.device)


def latents(x):
    with torch.autocast(a.device, torch.bfloat16):
        z, _ = vae_whole.moments(vae, x.contiguous(memory_format=torch.channels_last_3d))
    return (z.float() - mean) / std


os.makedirs(a.out, exist_ok=True)
arrays = {}


def store(name, i, t):
    t = t.cpu().numpy()
    if name not in arrays:
        path = os.path.join(a.out, name + ".npy")
        dtype = np.uint8 if t.dtype == np.uint8 else np.float16
        old = os.path.exists(path)
        arrays[name] = np.lib.format.open_memmap(path, "r+" if old else "w+", dtype, None if old else (n, *t.shape[1:]))
    arrays[name][i : i + len(t)] = t


def cell_share(mask):
    """(B, 1, T, H, W) -> (B, F, h, w): share of the cell's pixels, over the frames of a latent frame, in 255ths."""
    m = F.avg_pool2d(mask.flatten(0, 2)[:, None], 8).view(mask.shape[0], mask.shape[2], 12, 12)
    m = torch.cat([m[:, :1], m[:, 1:].unflatten(1, (-1, 4)).mean(2)], 1)
    return (m * 255).round().to(torch.uint8)


counter = os.path.join(a.out, "count")
first = int(open(counter).read()) if os.path.exists(counter) else 0
gray = torch.zeros(1, 3, 17, 96, 96).to(a.device)
np.save(os.path.join(a.out, "gray.npy"), latents(gray).cpu().numpy())
for i in range(first, n, a.batch):
    x, m = (torch.stack(v).to(a.device) for v in zip(*(clips.video(k) for k in range(i, min(i + a.batch, n)))))
    given = torch.zeros_like(x)
    given[:, :, 0] = x[:, :, 0]
    z = latents(torch.cat([x, given]))
    store("target", i, z[: len(x)])
    store("given", i, z[len(x) :])
    store("share", i, cell_share(m))
    with open(counter + ".tmp", "w") as f:
        f.write(str(i + len(x)))
    os.replace(counter + ".tmp", counter)
print(f"{n} clips encoded")
