"""Trains the small world's transformer and its umT5 encoder as an image-to-video model: flow matching as Wan2.1, masks
that keep the first frame only; one clip in ten is given nothing at all (Wan2.1-I2V descends from a text-to-video
model), half of those as single frames; one caption in ten is empty, for guidance.

    python dit.py --clips TRAIN --cache CACHE --model MODEL --minutes 60 [--resume]"""

import argparse
import copy
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from transformers import CLIPVisionModelWithProjection, UMT5EncoderModel

from clips import Budget, Clips
from towers_input import prepare
from words import PREFIX, ROWS, Words

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--clips", required=True)
p.add_argument("--cache", required=True)
p.add_argument("--model", required=True)
p.add_argument("--minutes", type=float, default=60)
p.add_argument("--resume", action="store_true")
p.add_argument("--threads", type=int, default=2)
p.add_argument("--batch", type=int, default=16)
p.add_argument("--layers", type=int, default=6)
p.add_argument("--lr", type=float, default=2e-3)
p.add_argument("--seed", type=int, default=3)
p.add_argument("--ema", type=float, default=0.998)
p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
a = p.parse_args()

TEXT_LEN = 512  # rows of the prompt that Wan attends to, padded with one and the same row


def heads(attn, *tensors):
    return (t.unflatten(2, (attn.heads, -1)).transpose(1, 2) for t in tensors)


def attend(q, k, v, bias=None):
    """Plain attention: for a few hundred tokens twice as fast on a CPU as the fused kernel's backward."""
    s = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
    if bias is not None:
        s = s + bias
    return s.softmax(-1).to(v.dtype) @ v


class SelfAttention:
    """As diffusers' own, with `attend`."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        q, k, v = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(hidden_states)), attn.to_v(hidden_states)
        q, k, v = heads(attn, q, k, v)
        cos, sin = (t.transpose(1, 2) for t in rotary_emb)

        def turn(x):
            a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
            c, s = cos[..., 0::2], sin[..., 1::2]
            return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2).to(v.dtype)

        return attn.to_out[0](attend(turn(q), turn(k), v).transpose(1, 2).flatten(2))


class TextPadding:
    """Cross-attention over the real text rows and one padding row that counts for all the others: the same result as
    512 rows, at a fraction of the work."""

    rows = None  # real rows of each caption, (B,)

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        images = encoder_hidden_states.shape[1] - ROWS
        image, text = encoder_hidden_states[:, :images], encoder_hidden_states[:, images:]
        q, k, v = heads(attn, attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(text)), attn.to_v(text))
        at = torch.arange(ROWS, device=q.device)[None]
        n = TextPadding.rows[:, None]
        bias = torch.where(at < n, 0.0, torch.where(at == n, torch.log((TEXT_LEN - n).float()), -1e9))
        out = attend(q, k, v, bias[:, None, None])
        k, v = heads(attn, attn.norm_added_k(attn.add_k_proj(image)), attn.add_v_proj(image))
        out = out + attend(q, k, v)
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


def build(layers):
    return WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=8, attention_head_dim=32, in_channels=36, out_channels=16,
        text_dim=128, freq_dim=256, ffn_dim=1024, num_layers=layers, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", eps=1e-6, image_dim=128, added_kv_proj_dim=256, rope_max_seq_len=1024)


torch.set_num_threads(a.threads)
torch.manual_seed(a.seed)
words, clips = Words(a.model), Clips(a.clips)
text = UMT5EncoderModel.from_pretrained(os.path.join(a.model, "text_encoder")).float().to(a.device)
vision = CLIPVisionModelWithProjection.from_pretrained(os.path.join(a.model, "image_encoder")).to(a.device).eval()
folder = os.path.join(a.model, "transformer")
if a.resume:
    dit = WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32)
else:
    dit = build(a.layers)
    for block in dit.blocks:  # residual branches start small
        for last in (block.attn1.to_out[0], block.attn2.to_out[0], block.ffn.net[2]):
            torch.nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * a.layers))
            torch.nn.init.zeros_(last.bias)
    torch.nn.init.zeros_(dit.proj_out.weight)
    torch.nn.init.zeros_(dit.proj_out.bias)
dit = dit.to(a.device).train()
for block in dit.blocks:
    block.attn1.set_processor(SelfAttention())
    block.attn2.set_processor(TextPadding())

matrices = [q for n, q in dit.named_parameters() if q.ndim == 2 and n.startswith("blocks") and "table" not in n]
inside = {id(q) for q in matrices}
others = [q for q in dit.parameters() if id(q) not in inside]
optimizers = [
    torch.optim.Muon(matrices, lr=a.lr, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
    torch.optim.AdamW([{"params": others, "lr": a.lr * 0.5}, {"params": text.parameters(), "lr": a.lr * 0.25}],
                      betas=(0.9, 0.98), weight_decay=0.01)]
for o in optimizers:
    for g in o.param_groups:
        g["base"] = g["lr"]
modules = torch.nn.ModuleList([dit, text])
average = copy.deepcopy(modules).eval().requires_grad_(False)

ids, lengths = words.rows(clips.captions)
plain = (ids, lengths)
marked = words.rows([PREFIX + c for c in clips.captions])
empty = words.rows([""])
gray = torch.from_numpy(np.load(os.path.join(a.cache, "gray.npy")))
arrays, available = {}, 0


def refresh():
    global available
    with open(os.path.join(a.cache, "count")) as f:
        available = int(f.read())
    for name in ("target", "given", "share"):
        if name not in arrays:
            arrays[name] = np.load(os.path.join(a.cache, name + ".npy"), mmap_mode="r")


def batch(n):
    """x1, y, text ids and rows, image tokens, weight; the whole batch has one number of frames."""
    pick = np.sort(np.random.randint(0, available, n))
    x1 = torch.from_numpy(arrays["target"][pick]).float()
    given = torch.from_numpy(arrays["given"][pick]).float()
    first = torch.from_numpy(clips.rgb[pick, 0]).permute(0, 3, 1, 2).to(a.device).float() / 127.5 - 1
    with torch.no_grad():
        image = vision.vision_model(pixel_values=prepare(first), output_hidden_states=True).hidden_states[-2]
    share = torch.from_numpy(arrays["share"][pick]).float()[:, None] / 255
    keep = torch.zeros(n, 4, 5, 12, 12)
    keep[:, :, 0] = 1
    nothing = np.random.rand() < 0.1
    if nothing:
        keep.zero_()
        given = gray.expand(n, -1, -1, -1, -1)
        if np.random.rand() < 0.5:
            x1, keep, given, share = (t[:, :, :1] for t in (x1, keep, given, share))
    rows, length = (t.clone() for t in (marked if np.random.rand() < 0.4 else plain))
    rows, length = rows[pick], length[pick]
    drop = torch.rand(n) < 0.1
    rows[drop], length[drop] = empty[0], empty[1]
    return [t.to(a.device) for t in (x1, torch.cat([keep, given], 1), rows, length, image, 1 + 2 * share)]


def times(n):
    """Half uniform, half logit-normal: all of 0..1, more of the middle."""
    t = torch.where(torch.rand(n) < 0.5, torch.rand(n), torch.sigmoid(torch.randn(n)))
    return t.to(a.device)


def encode_text(encoder, rows, length):
    mask = torch.arange(ROWS, device=rows.device)[None] < length[:, None]
    h = encoder(rows, attention_mask=mask).last_hidden_state
    return h * mask[..., None]


def velocity(model, encoder, x, t, y, rows, length, image):
    TextPadding.rows = length
    return model(torch.cat([x, y], 1), t * 1000, encode_text(encoder, rows, length), image, return_dict=False)[0]


def loss_of(b, model, encoder, t):
    x1, y, rows, length, image, weight = b
    x0 = torch.randn_like(x1)
    s = t.view(-1, 1, 1, 1, 1)
    with torch.autocast(a.device, torch.bfloat16):
        v = velocity(model, encoder, (1 - s) * x1 + s * x0, t, y, rows, length, image)
    return (weight * (v.float() - (x0 - x1)).square()).sum() / weight.expand_as(v).sum()


def save():
    average[0].save_pretrained(folder)
    average[1].save_pretrained(os.path.join(a.model, "text_encoder"))


refresh()
budget, log, mean, since = Budget(a.minutes, warmup=100), 0.0, 0.0, time.time()
while not budget.done():
    f = budget.factor(0.02)
    for o in optimizers:
        for g in o.param_groups:
            g["lr"] = g["base"] * f
    loss = loss_of(batch(a.batch), dit, text, times(a.batch))
    for o in optimizers:
        o.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
    for o in optimizers:
        o.step()
    with torch.no_grad():
        decay = min(a.ema, budget.step / (budget.step + 10))
        torch._foreach_lerp_(list(average.parameters()), list(modules.parameters()), 1 - decay)
        mean += (loss.item() - mean) * max(0.01, 1 / budget.step)
    if budget.step % 100 == 0:
        refresh()
    if budget.used - log >= 0.04 or budget.step in (1, 20):
        log = budget.used
        print(f"step {budget.step} {100 * log:.0f} % loss {mean:.4f} clips {available} "
              f"{(time.time() - since) / budget.step:.3f} s/step", flush=True)
        save()
save()
print(f"{budget.step} steps of {a.batch} clips")
