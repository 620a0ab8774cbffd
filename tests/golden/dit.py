"""DiT cases: one forward of WanTransformer3DModel."""

import math
from unittest import mock

import torch
from diffusers import WanTransformer3DModel

from case import Case

TEXT_ROWS = 512


def dit_rules(scale, text_dim):
    """Fill rules of a diffusers transformer: norms about 1, biases small, weights `scale`."""
    text_in = round(2.0 / math.sqrt(text_dim), 3)
    near_one = [
        "*norm_q.weight",
        "*norm_k.weight",
        "*norm_added_k.weight",
        "blocks.*.norm2.weight",
        "*image_embedder.norm*.weight",
    ]
    rules = [[g, 0.2, 1.0] for g in near_one] + [
        ["*.bias", 0.05, 0.0],
        ["*scale_shift_table", 0.3, 0.0],
    ]
    return rules + [["*text_embedder.linear_1.weight", text_in, 0.0], ["*", scale, 0.0]]


def dit_config(heads, head_dim, layers, ffn, text_dim, freq_dim, image_dim=None):
    """Arguments of WanTransformer3DModel; image_dim None makes the T2V model."""
    return {
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "num_layers": layers,
        "ffn_dim": ffn,
        "text_dim": text_dim,
        "freq_dim": freq_dim,
        "in_channels": 36 if image_dim else 16,
        "out_channels": 16,
        "image_dim": image_dim,
        "added_kv_proj_dim": heads * head_dim if image_dim else None,
        "patch_size": [1, 2, 2],
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
        "rope_max_seq_len": 1024,
        "pos_embed_seq_len": None,
    }


def exact_sinusoid(timesteps, embedding_dim, **_):
    """The time sinusoid in float64, cos first, as in the official code; diffusers uses float32."""
    half = embedding_dim // 2
    freq = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float64) / half)
    angle = timesteps.double()[:, None] * freq[None]
    return torch.cat([angle.cos(), angle.sin()], dim=-1).float()


def double_time():
    """Context in which diffusers uses `exact_sinusoid`."""
    return mock.patch("diffusers.models.embeddings.get_timestep_embedding", exact_sinusoid)


def make_dit(case, config, scale, key="transformer"):
    """A filled WanTransformer3DModel, registered in the case."""
    model = WanTransformer3DModel(**config).eval().requires_grad_(False)
    case.model(
        key,
        {"_class_name": "WanTransformer3DModel", **model.config},
        dit_rules(scale, config["text_dim"]),
        model,
    )
    return model


def pad_text(text):
    """Zero rows up to 512: what the pipeline feeds."""
    return torch.cat([text, text.new_zeros(TEXT_ROWS - text.shape[0], text.shape[1])])


def run_dit(model, x, t, text, y=None, image=None):
    """Velocity [16,F,H,W] for unbatched inputs."""
    hidden = x if y is None else torch.cat([x, y])
    with double_time():
        out = model(
            hidden_states=hidden[None],
            timestep=t,
            encoder_hidden_states=pad_text(text)[None],
            encoder_hidden_states_image=None if image is None else image[None],
            return_dict=False,
        )
    return out[0][0]


def dit_inputs(case, config, grid, text_rows, t, image_rows):
    """The probe's inputs, as keyword arguments of run_dit; t None leaves the time to the caller."""
    ins = {"x": case.filled("x", [16, *grid], 1.5)} if t is not None else {}
    if t is not None:
        ins["t"] = case.values("t", [t])
    ins["text"] = case.filled("text", [text_rows, config["text_dim"]], 1.5)
    if config["image_dim"]:
        ins["y"] = case.filled("y", [20, *grid])
        ins["image"] = case.filled("image", [image_rows, config["image_dim"]])
    return ins


# name: config arguments, weight scale, latent grid, text rows, t, image rows
CASES = {
    "dit_i2v_a": ((2, 12, 2, 40, 10, 16, 20), 0.3, (3, 4, 6), 7, 749.0, 5),
    "dit_i2v_b": ((3, 16, 1, 64, 16, 32, 24), 0.25, (1, 6, 4), 1, 12.5, 17),
    "dit_i2v_c": ((1, 64, 2, 96, 24, 64, 40), 0.2, (2, 4, 10), 512, 999.0, 9),
    "dit_i2v_d": ((4, 32, 3, 200, 32, 256, 48), 0.14, (5, 2, 8), 33, 333.25, 11),
    "dit_i2v_e": ((2, 20, 1, 72, 12, 256, 1280), 0.2, (1, 8, 6), 77, 1000.0, 257),
    "dit_i2v_f": ((2, 36, 2, 100, 16, 64, 32), 0.2, (2, 18, 22), 130, 611.0, 257),
    "dit_t2v_a": ((1, 20, 1, 48, 8, 16), 0.3, (1, 2, 2), 7, 1000.0, 0),
    "dit_t2v_b": ((4, 24, 2, 120, 20, 32), 0.16, (4, 6, 4), 512, 250.25, 0),
    "dit_t2v_c": ((2, 128, 1, 320, 16, 256), 0.1, (2, 6, 8), 7, 71.0, 0),
}


def make(name):
    """Build one case."""
    args, scale, grid, rows, t, image_rows = CASES[name]
    case = Case(name, "dit", "WanTransformer3DModel, time sinusoid in float64")
    config = dit_config(*args)
    model = make_dit(case, config, scale)
    with torch.no_grad():
        case.expect(
            "v", run_dit(model, **dit_inputs(case, config, grid, rows, t, image_rows)), 1e-5
        )
    return case
