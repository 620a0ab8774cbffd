"""Trains the CLIP tower of the small world contrastively on frames and captions (Radford et al. 2021), with the umT5
encoder as its text side; the transformer's training goes on with that encoder.

    python towers.py --clips TRAIN --held HELD --out MODEL --minutes 10"""

import argparse
import os

import torch
import torch.nn.functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, UMT5Config, UMT5EncoderModel

from clips import Budget, Clips
from towers_input import SIZE, prepare
from words import Words

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--clips", required=True)
p.add_argument("--held", required=True)
p.add_argument("--out", required=True)
p.add_argument("--minutes", type=float, default=10)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--batch", type=int, default=128)
p.add_argument("--lr", type=float, default=1e-3)
p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
a = p.parse_args()

torch.set_num_threads(a.threads)
torch.manual_seed(2)
words = Words(a.out)
vision = CLIPVisionModelWithProjection(CLIPVisionConfig(
    hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4, image_size=SIZE, patch_size=8,
    projection_dim=64, hidden_act="gelu", layer_norm_eps=1e-5)).to(a.device)
text = UMT5EncoderModel(UMT5Config(
    vocab_size=words.vocab, d_model=128, d_kv=32, d_ff=256, num_layers=2, num_heads=4,
    relative_attention_num_buckets=32, relative_attention_max_distance=128, dropout_rate=0.0,
    feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6, tie_word_embeddings=False)).to(a.device)
head = torch.nn.Linear(128, 64).to(a.device)
scale = torch.nn.Parameter(torch.tensor(2.7, device=a.device))
params = [*vision.parameters(), *text.parameters(), *head.parameters(), scale]
opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.98), weight_decay=0.02)


def batch(clips, n, first=None):
    """Frames that show what their caption says: a turned back does not."""
    frames, texts = [], []
    for k in range(n):
        i = torch.randint(len(clips), ()).item() if first is None else first + k
        t = torch.randint(3 if "flips" in clips.captions[i] else 17, ()).item()
        frames.append(clips.video(i, t, t + 1)[0][:, 0])
        texts.append(clips.captions[i])
    return prepare(torch.stack(frames)).to(a.device), words.rows(texts)


def logits(x, ids, length):
    mask = torch.arange(ids.shape[1])[None] < length[:, None]
    h = text(ids.to(a.device), attention_mask=mask.to(a.device)).last_hidden_state
    m = mask.to(a.device)[..., None].float()
    t = head((h * m).sum(1) / m.sum(1))
    v = vision(pixel_values=x).image_embeds
    return F.normalize(v, dim=-1) @ F.normalize(t, dim=-1).T * scale.exp()


train, held = Clips(a.clips), Clips(a.held)
budget, log = Budget(a.minutes), 0.0
while not budget.done():
    for g in opt.param_groups:
        g["lr"] = a.lr * budget.factor()
    x, rows = batch(train, a.batch)
    s = logits(x, *rows)
    y = torch.arange(len(s), device=s.device)
    loss = 0.5 * (F.cross_entropy(s, y) + F.cross_entropy(s.T, y))
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    with torch.no_grad():
        scale.clamp_(max=4.6)
    if budget.used - log >= 0.1 or budget.step == 1:
        log = budget.used
        print(f"step {budget.step} {100 * budget.used:.0f} % loss {loss.item():.3f}", flush=True)

with torch.no_grad():
    n = min(64, len(held))
    s = logits(*(lambda b: (b[0], *b[1]))(batch(held, n, 0)))
    hit = (s.argmax(1).cpu() == torch.arange(n)).float().mean().item()
print(f"held out: the right caption of {n} for {100 * hit:.0f} % of the frames, after {budget.step} steps")
vision.save_pretrained(os.path.join(a.out, "image_encoder"))
text.save_pretrained(os.path.join(a.out, "text_encoder"))
