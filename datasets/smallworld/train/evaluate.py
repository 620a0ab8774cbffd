"""What the trained model can do, on clips it never saw: VAE reconstruction, and image-to-video from a first frame and a
caption with the real diffusers pipeline: does the sprite go where the caption says, and does it keep its look?

    python evaluate.py --model datasets/smallworld/model --held HELD [--count 40] [--sheet OUT.png]

The sprite is what differs from the ground, which is the source's own where the ground stands still; only such clips
with a straight path are used. For the control every caption's direction is turned around."""

import argparse

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline
from PIL import Image

import vae_whole
from clips import Clips, psnr
from towers_input import prepare

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--model", required=True)
p.add_argument("--held", required=True)
p.add_argument("--count", type=int, default=40)
p.add_argument("--vae", type=int, default=16)
p.add_argument("--steps", type=int, default=16)
p.add_argument("--guidance", type=float, default=2.0)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--sheet")
a = p.parse_args()

torch.set_num_threads(a.threads)
torch.set_grad_enabled(False)
held = Clips(a.held)
pipe = WanImageToVideoPipeline.from_pretrained(a.model, torch_dtype=torch.float32)
pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
pipe.set_progress_bar_config(disable=True)
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
TURNED = {"left": "right", "right": "left", "up": "down", "down": "up"}


def reconstruction(n):
    rates = []
    for i in range(n):
        x, _ = held.video(i)
        z = pipe.vae.encode(x[None]).latent_dist.mode()
        rates.append(psnr(pipe.vae.decode(z).sample[0], x))
    return np.mean(rates), np.std(rates) / len(rates) ** 0.5


def generate(i, caption):
    """(17, 96, 96, 3) in 0..255."""
    x, _ = held.video(i)
    first = x[:, 0][None]
    states = pipe.image_encoder.vision_model(pixel_values=prepare(first), output_hidden_states=True).hidden_states[-2]
    pipe.encode_image = lambda *_: states
    rows, none = pipe.encode_prompt(caption, "", max_sequence_length=512)
    frames = pipe(image=first, height=96, width=96, num_frames=17, num_inference_steps=a.steps, output_type="np",
                  guidance_scale=a.guidance, prompt_embeds=rows, negative_prompt_embeds=none,
                  generator=torch.Generator().manual_seed(i)).frames[0]
    return frames * 255.0


def ground(i):
    """Every pixel as it is where no sprite covers it; NaN where one always does."""
    rgb = held.rgb[i].astype(np.float32)
    rgb[held.mask[i] > 0] = np.nan
    with np.errstate(all="ignore"):
        return np.nanmean(rgb, axis=0)


def sprite(frames, back):
    """Per frame: weight of every pixel that is not the ground."""
    d = np.sqrt(np.square(frames - back).mean(-1))
    return np.where(np.isnan(d), 0, np.clip(d - 18, 0, 60))


def centre(w):
    y, x = np.mgrid[0 : w.shape[0], 0 : w.shape[1]]
    return np.array([(w * x).sum(), (w * y).sum()]) / max(w.sum(), 1e-6)


def look(frames, w):
    """Mean colour of the sprite."""
    return (frames * w[..., None]).sum((0, 1)) / max(w.sum(), 1e-6)


rate = reconstruction(a.vae)
print(f"VAE on {a.vae} held-out clips: {rate[0]:.2f} +- {rate[1]:.2f} dB")
right, turned, reached, colour, sheet = [], [], [], [], []
for i in range(len(held)):
    caption = held.captions[i]
    way = next((w for w in WAYS if f"moves {w}" in caption), None)
    if not way or "slides" in caption or "flips" in caption or len(right) == a.count:
        continue
    back, (dx, dy) = ground(i), WAYS[way]
    true = held.rgb[i].astype(np.float32)
    for text, hits in ((caption, right), (caption.replace(f"moves {way}", f"moves {TURNED[way]}"), turned)):
        frames = generate(i, text)
        w = sprite(frames, back)
        step = (centre(w[-1]) - centre(w[0])) @ np.array([dx, dy])
        hits.append(step if text == caption else -step)
        if text == caption:
            wt = sprite(true, back)
            reached.append(step / ((centre(wt[-1]) - centre(wt[0])) @ np.array([dx, dy])))
            colour.append(np.abs(look(frames[-1], w[-1]) - look(true[0], wt[0])).mean())
            if len(sheet) < 16:
                sheet += [np.concatenate(list(f[::4]), 1) for f in (true, frames)]
print(f"{len(right)} first frames, {a.steps} steps, guidance {a.guidance}:")
print(f"  goes where the caption says (> 4 px): {100 * np.mean(np.array(right) > 4):.0f} %; with the direction turned "
      f"around: {100 * np.mean(np.array(turned) > 4):.0f} %; share of the true distance: median {np.median(reached):.2f}")
print(f"  mean colour of the sprite in the last frame off by {np.mean(colour):.1f} of 255 (median {np.median(colour):.1f})")
if a.sheet:
    Image.fromarray(np.concatenate(sheet, 0).clip(0, 255).astype(np.uint8)).save(a.sheet)
