"""Trains the small world's VAE: AutoencoderKLWan with narrow layers.

    python vae.py --clips TRAIN --held HELD --out MODEL/vae --minutes 30 [--resume]

Random crops of 9 frames; mean absolute and squared error, more on the sprite, and a little KL so that the latent
space stays smooth. At the end latents_mean and latents_std are measured, as Wan2.1's configuration has them."""

import argparse
import json
import os

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders import autoencoder_kl_wan as wan

import vae_whole
from clips import Budget, Clips, psnr

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--clips", required=True)
p.add_argument("--held", required=True)
p.add_argument("--out", required=True)
p.add_argument("--minutes", type=float, default=30)
p.add_argument("--resume", action="store_true")
p.add_argument("--threads", type=int, default=2)
p.add_argument("--dim", type=int, default=16)
p.add_argument("--batch", type=int, default=2)
p.add_argument("--frames", type=int, default=9)
p.add_argument("--crop", type=int, default=64)
p.add_argument("--lr", type=float, default=6e-4)
p.add_argument("--kl", type=float, default=1e-4)
p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
a = p.parse_args()



class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum (Jordan et al. 2024) for convolution kernels, as matrices of one row per output channel;
    updates have the size of Adam's (Liu et al. 2025)."""

    def __init__(self, params, lr, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            for q in g["params"]:
                if q.grad is None:
                    continue
                m = self.state[q].setdefault("m", torch.zeros_like(q))
                m.lerp_(q.grad, 1 - g["momentum"])
                u = q.grad.lerp(m, g["momentum"]).flatten(1)
                wide = u.shape[0] <= u.shape[1]
                x = u if wide else u.T
                x = x / (x.norm() + 1e-12)
                for _ in range(5):
                    y = x @ x.T
                    x = 3.4445 * x + (-4.775 * y + 2.0315 * y @ y) @ x
                x = x if wide else x.T
                q.add_(x.view_as(q), alpha=-g["lr"] * 0.2 * max(x.shape) ** 0.5)


@torch.no_grad()
def start(vae):
    """Initial weights that pass colours straight through: convolutions look at their own frame most, resampling
    averages and copies, residual branches are weak. From PyTorch's own initial weights the first thousands of steps go
    into finding that."""
    for m in vae.modules():
        if isinstance(m, (torch.nn.Conv2d, torch.nn.Conv3d)):
            w, fan = m.weight, m.weight[0, :, -1].numel() if m.weight.ndim == 5 else m.weight[0].numel()
            torch.nn.init.normal_(w, std=fan**-0.5)
            torch.nn.init.zeros_(m.bias)
            if w.ndim == 5 and w.shape[2] == 3:
                w[:, :, :2] *= 0.15
        if isinstance(m, wan.WanResidualBlock):
            m.conv2.weight *= 0.5
        if isinstance(m, wan.WanAttentionBlock):
            m.proj.weight *= 0.1
    for m in vae.modules():
        if isinstance(m, wan.WanResample) and m.mode != "none":
            w = m.resample[1].weight
            w *= 0.1
            o, i = w.shape[:2]
            for c in range(i):
                if m.mode.startswith("down"):
                    w[c % o, c, :2, :2] += 0.25
                else:
                    w[c % o, c, 1, 1] += 0.5 * o / i * 2
        if isinstance(m, wan.WanResample) and hasattr(m, "time_conv"):
            w = m.time_conv.weight
            w *= 0.1
            for o in range(w.shape[0]):
                if m.mode == "downsample3d":
                    w[o, o, 1:, 0, 0] += 0.5
                else:
                    w[o, o % w.shape[1], 2, 0, 0] += 1
    vae.quant_conv.weight[16:] = 0
    vae.quant_conv.bias[16:] = -5  # little noise on the latents at first


torch.set_num_threads(a.threads)
torch.manual_seed(1)
vae_whole.whole_sequences()
train, held = Clips(a.clips), Clips(a.held)
if a.resume:
    vae = AutoencoderKLWan.from_pretrained(a.out, torch_dtype=torch.float32)
else:
    vae = AutoencoderKLWan(base_dim=a.dim, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
                           temperal_downsample=[False, True, True], latents_mean=[0.0] * 16, latents_std=[1.0] * 16)
    start(vae)
vae = vae.to(a.device)
kernels = [q for q in vae.parameters() if q.ndim >= 4 and q.shape[0] > 3]
inside = {id(q) for q in kernels}
optimizers = [Muon(kernels, lr=3 * a.lr),
              torch.optim.AdamW([q for q in vae.parameters() if id(q) not in inside], lr=a.lr, betas=(0.9, 0.95))]
for o in optimizers:
    for g in o.param_groups:
        g["base"] = g["lr"]


def crop():
    i = torch.randint(len(train), ()).item()
    t = torch.randint(17 - a.frames + 1, ()).item()
    y, x = (torch.randint(96 - a.crop + 1, ()).item() for _ in "yx")
    return train.video(i, t, t + a.frames, y, y + a.crop, x, x + a.crop)


def autocast():
    return torch.autocast(a.device, torch.bfloat16)


@torch.no_grad()
def evaluate(n, save=True):
    vae.eval()
    rates, means = [], []
    for i in range(n):
        x, _ = held.video(i)
        x = x[None].to(a.device)
        with autocast():
            mean, _ = vae_whole.moments(vae, x.contiguous(memory_format=torch.channels_last_3d))
            rates.append(psnr(vae_whole.decode(vae, mean).float(), x))
        means.append(mean.float().transpose(0, 1).reshape(16, -1))
    vae.train()
    if save:
        z = torch.cat(means, 1)
        vae.register_to_config(latents_mean=[round(v, 4) for v in z.mean(1).tolist()],
                               latents_std=[round(v, 4) for v in z.std(1).tolist()])
        vae.save_pretrained(a.out)
    return sum(rates) / n


budget, log, mean_rate = Budget(a.minutes), 0.0, 0.0
while not budget.done():
    f = budget.factor()
    for o in optimizers:
        for g in o.param_groups:
            g["lr"] = g["base"] * f
    x, m = (torch.stack(v).to(a.device) for v in zip(*(crop() for _ in range(a.batch))))
    x = x.contiguous(memory_format=torch.channels_last_3d)
    with autocast():
        mean, logvar = vae_whole.moments(vae, x)
        mean, logvar = mean.float(), logvar.float().clamp(-20, 10)
        out = vae_whole.decode(vae, mean + torch.exp(0.5 * logvar) * torch.randn_like(mean))
    weight, diff = 1 + 2 * m, out.float() - x
    fit = (weight * (diff.abs() + 2 * diff.square())).mean()
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    vae.zero_grad(set_to_none=True)
    (fit + a.kl * kl).backward()
    torch.nn.utils.clip_grad_norm_(vae.parameters(), 0.5)
    for o in optimizers:
        o.step()
    mean_rate += (psnr(out.float(), x) - mean_rate) * max(0.02, 1 / budget.step)
    if budget.used - log >= 0.1 or budget.step in (1, 10):
        log = budget.used
        print(f"step {budget.step} {100 * budget.used:.0f} % fit {fit.item():.4f} kl {kl.item():.2f} "
              f"train {mean_rate:.2f} dB", flush=True)
rate = evaluate(min(32, len(held)))
print(f"held out: {rate:.2f} dB after {budget.step} steps")
with open(os.path.join(a.out, "training.json"), "w") as f:
    json.dump({"steps": budget.step, "minutes": a.minutes, "device": a.device, "held_out_psnr": round(rate, 2)}, f)
