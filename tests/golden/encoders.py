"""umT5 and CLIP cases: UMT5EncoderModel, CLIPVisionModel and CLIPVisionModelWithProjection."""

import torch
import torch.nn.functional as F
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    UMT5Config,
    UMT5EncoderModel,
)

from case import Case
from original import clip_entries, clip_hf_entries

TEXT_RULES = [
    ["*layer_norm.weight", 0.2, 1.0],
    ["shared.weight", 1.0, 0.0],
    ["*relative_attention_bias.weight", 1.0, 0.0],
]
CLIP_RULES = [["*norm*.weight", 0.2, 1.0], ["*layrnorm.weight", 0.2, 1.0], ["*.bias", 0.05, 0.0]]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]

# name: d_model, d_kv, heads, d_ff, layers, vocabulary, weight scale, tokens
TEXT = {
    "text_a": (32, 10, 3, 48, 2, 60, 0.25, 5),
    "text_b": (24, 12, 4, 40, 3, 100, 0.25, 1),
    "text_c": (40, 8, 2, 64, 2, 300, 0.25, 200),
    "text_d": (16, 6, 5, 24, 1, 80, 0.35, 512),
}
# name: hidden, heads, mlp, layers, image size, patch, weight scale, source (height, width) or None
IMAGE = {
    "image_a": (32, 2, 64, 3, 28, 14, 0.2, None),
    "image_b": (36, 3, 100, 2, 35, 7, 0.2, None),
    "image_c": (40, 5, 80, 4, 21, 3, 0.18, None),
    "image_squash_a": (32, 4, 64, 3, 28, 7, 0.2, (45, 37)),
    "image_squash_b": (24, 2, 48, 2, 42, 14, 0.25, (16, 61)),
}
# name: as IMAGE, then projection width or None, and the layout of the names
EMBED = {
    "embed_plain": (32, 2, 64, 3, 28, 14, 0.2, None, None, "diffusers"),
    "embed_projected": (36, 3, 100, 2, 35, 7, 0.2, None, 20, "diffusers"),
    "embed_squash": (24, 4, 48, 4, 42, 14, 0.25, (16, 61), 40, "diffusers"),
    "embed_original": (32, 4, 64, 3, 28, 7, 0.2, None, 24, "original"),
}


def make_text(name):
    d_model, d_kv, heads, d_ff, layers, vocab, scale, length = TEXT[name]
    case = Case(name, "text", "UMT5EncoderModel.last_hidden_state")
    config = UMT5Config(
        vocab_size=vocab,
        d_model=d_model,
        d_kv=d_kv,
        d_ff=d_ff,
        num_layers=layers,
        num_heads=heads,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
    )
    config.architectures = ["UMT5EncoderModel"]
    model = UMT5EncoderModel(config).eval()
    case.model("text_encoder", config.to_dict(), [*TEXT_RULES, ["*", scale, 0.0]], model)
    ids = [(37 * i * i + 11 * i + 5) % (vocab - 4) + 4 for i in range(length - 1)] + [1]
    ids = case.values("ids", ids, "I32")
    with torch.no_grad():
        states = model(
            input_ids=ids[None], attention_mask=torch.ones_like(ids)[None]
        ).last_hidden_state[0]
    case.expect("states", states, 1e-5)
    return case


def squash(image, size):
    """Official preprocessing of a [-1,1] image of any size: no crop, no antialias."""
    pixels = (
        F.interpolate(image[None], size=(size, size), mode="bicubic", align_corners=False)[0] * 0.5
        + 0.5
    )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    return (pixels - mean) / std


def make_image(name):
    hidden, heads, mlp, layers, size, patch, scale, source = IMAGE[name]
    case = Case(
        name,
        "image",
        "CLIPVisionModel.hidden_states[-2]" + (", torch bicubic F.interpolate" if source else ""),
    )
    config = CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=size,
        patch_size=patch,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
    )
    config.architectures = ["CLIPVisionModel"]
    model = CLIPVisionModel(config).eval()
    rules = [*CLIP_RULES, ["*position_embedding.weight", 0.4, 0.0], ["*", scale, 0.0]]
    case.model("image_encoder", config.to_dict(), rules, model, clip_hf_entries(model))
    if source:
        pixels = squash(case.filled("image", [3, *source]), size)
        case.expect("pixels", pixels, 1e-5)
    else:
        pixels = case.filled("pixels", [3, size, size], 2.0)
    with torch.no_grad():
        states = model(pixel_values=pixels[None], output_hidden_states=True).hidden_states[-2][0]
    case.expect("states", states, 1e-5)
    return case


def embed_entries(model, layout, layers, hidden, projection):
    """Names of the files: hub checkpoints as they are, the original with fused and turned weights."""
    tower = getattr(model, "vision_model", model)
    if layout == "original":
        entries = clip_entries(tower, layers, hidden)
    else:
        entries = clip_hf_entries(tower)
    if tower is not model:
        entries = [
            (name, shape, [("vision_model." + key, pick) for key, pick in places])
            for name, shape, places in entries
        ]
    if projection and layout == "original":
        turned = [("visual_projection.weight", lambda data: data.T)]
        entries.append(("visual.head", [hidden, projection], turned))
    elif projection:
        entries.append(("visual_projection.weight", [projection, hidden], None))
    return entries


def make_embed(name):
    hidden, heads, mlp, layers, size, patch, scale, source, projection, layout = EMBED[name]
    output = "image_embeds" if projection else "pooler_output"
    kind = CLIPVisionModelWithProjection if projection else CLIPVisionModel
    case = Case(name, "image-embed", f"{kind.__name__}.{output}", layout=layout)
    config = CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=size,
        patch_size=patch,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
        projection_dim=projection or 512,
    )
    config.architectures = [kind.__name__]
    model = kind(config).eval()
    rules = [
        *CLIP_RULES,
        ["*position_embedding.weight", 0.4, 0.0],
        ["*pos_embedding", 0.4, 0.0],
        ["*", scale, 0.0],
    ]
    entries = embed_entries(model, layout, layers, hidden, projection)
    case.model("image_encoder", config.to_dict(), rules, model, entries)
    if source:
        pixels = squash(case.filled("image", [3, *source]), size)
    else:
        pixels = case.filled("pixels", [3, size, size], 2.0)
    with torch.no_grad():
        out = model(pixel_values=pixels[None])
    case.expect("embedding", out[output][0], 1e-5)
    return case


CASES = {**TEXT, **IMAGE, **EMBED}


def make(name):
    if name in EMBED:
        return make_embed(name)
    return make_text(name) if name in TEXT else make_image(name)
