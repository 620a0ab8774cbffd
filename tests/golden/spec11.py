"""Original-layout cases: the tiny models of the project's Wan2.1 spec, section 11.

The weights are filled by their ORIGINAL names and run by the real classes. `SPEC` holds the
numbers the spec quotes, which come from the official code (check_spec11.py compares).
"""

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

import original
from case import Case
from dit import dit_config, run_dit
from vae import MEAN, STD, decode_raw, encode

DIT_RULES = [
    [g, 0.2, 1.0]
    for g in (
        "*norm_q.weight",
        "*norm_k.weight",
        "*norm_k_img.weight",
        "*norm3.weight",
        "*proj.0.weight",
        "*proj.4.weight",
    )
]
DIT_RULES += [["*.bias", 0.05, 0.0], ["*modulation*", 0.3, 0.0], ["*", 0.15, 0.0]]
TEXT_RULES = [["*norm*", 0.2, 1.0], ["*embedding*", 1.0, 0.0], ["*", 0.25, 0.0]]
CLIP_RULES = [["*norm*weight", 0.2, 1.0], ["*bias", 0.05, 0.0], ["*", 0.15, 0.0]]
VAE_RULES = [["*gamma", 0.2, 1.0], ["*bias", 0.05, 0.0], ["*", 0.15, 0.0]]

# sum, sum of squares, {first index of a run: values along the last axis}
SPEC = {
    "spec_dit_i2v": (
        -67.4197113,
        626.1723859,
        {
            (0, 0, 0, 0): [
                0.53416609,
                -0.53370101,
                0.40374893,
                0.34602770,
                -0.70461334,
                -0.37989204,
            ],
            (15, 2, 3, 0): [
                -0.56512932,
                -0.64449621,
                0.36693610,
                -1.61517612,
                -0.41162680,
                0.19709832,
            ],
        },
    ),
    "spec_dit_t2v": (
        1.8448641,
        613.1976070,
        {
            (0, 0, 0, 0): [
                -0.37720613,
                1.73104025,
                1.09396054,
                -0.44823061,
                -0.24596026,
                -0.36400004,
            ],
            (15, 2, 3, 0): [
                -0.23770581,
                -0.42688911,
                0.47788230,
                -1.12322124,
                -0.95928688,
                0.34239354,
            ],
        },
    ),
    "spec_text": (
        -1.32677099,
        None,
        {
            (0, 0): [2.31088601, -0.09400206, -1.22114066, -0.97068785],
            (4, 29): [-1.1902663, 1.18397187, -0.39237266],
        },
    ),
    "spec_image": (
        -9.0990732,
        185.9504311,
        {
            (0, 0): [1.04711051, -0.47123174, 0.93376158, -0.53449339],
            (4, 30): [1.3260125, -0.64132108],
        },
    ),
    "spec_vae_encode": (
        18.7266903461,
        64.6508914758,
        {
            (0, 0, 0, 0): [0.3582036878],
            (1, 0, 0, 0): [0.3701317583],
            (2, 0, 0, 0): [0.5578437109],
            (15, 2, 1, 2): [0.2742185387],
        },
    ),
    "spec_vae_decode": (
        -2692.1376639203,
        6240.0328810259,
        {
            (0, 0, 0, 0): [0.0291026456],
            (1, 0, 0, 0): [0.5075743921],
            (2, 0, 0, 0): [0.2083951104],
            (0, 8, 15, 23): [-0.3607833781],
            (1, 8, 15, 23): [-0.6666553433],
            (2, 8, 15, 23): [-0.0164175279],
        },
    ),
}


def indices(name):
    """All indices that the spec quotes for a case."""
    return [
        (*start[:-1], start[-1] + i)
        for start, run in SPEC[name][2].items()
        for i in range(len(run))
    ]


def spec_dit(name):
    i2v = name.endswith("i2v")
    case = Case(name, "dit", "WanTransformer3DModel under original names", layout="original")
    model = WanTransformer3DModel(**dit_config(2, 32, 2, 96, 24, 16, 1280 if i2v else None))
    config = {
        "_class_name": "WanModel",
        "_diffusers_version": "0.30.0",
        "dim": 64,
        "eps": 1e-06,
        "ffn_dim": 96,
        "freq_dim": 16,
        "in_dim": 36 if i2v else 16,
        "model_type": "i2v" if i2v else "t2v",
        "num_heads": 2,
        "num_layers": 2,
        "out_dim": 16,
        "text_len": 512,
        "text_dim": 24,
    }
    if i2v:
        config["image_dim"] = 1280
    case.model("", config, DIT_RULES, model, original.dit_entries(model))
    grid = (3, 4, 6)
    ins = {"x": case.filled("x", [16, *grid], 1.5), "t": case.values("t", [749.0])}
    ins["text"] = case.filled("text", [7, 24], rule_name="input.context")
    if i2v:
        ins["y"] = case.filled("y", [20, *grid])
        ins["image"] = case.filled("image", [257, 1280], rule_name="input.clip")
    with torch.no_grad():
        case.expect_digest("v", run_dit(model, **ins), indices(name), 1e-5)
    return case


def spec_text(name):
    case = Case(name, "text", "UMT5EncoderModel under original names", layout="original")
    config = UMT5Config(
        vocab_size=50,
        d_model=32,
        d_kv=8,
        d_ff=40,
        num_layers=2,
        num_heads=3,
        feed_forward_proj="gated-gelu",
    )
    model = UMT5EncoderModel(config).eval()
    keys = (
        "vocab_size",
        "d_model",
        "d_kv",
        "d_ff",
        "num_layers",
        "num_heads",
        "relative_attention_num_buckets",
        "relative_attention_max_distance",
        "layer_norm_epsilon",
        "feed_forward_proj",
    )
    case.model(
        "text_encoder",
        {k: getattr(config, k) for k in keys},
        TEXT_RULES,
        model,
        original.text_entries(model),
    )
    ids = case.values("ids", [3, 17, 42, 8, 1], "I32")
    with torch.no_grad():
        case.expect_digest(
            "states", model(input_ids=ids[None]).last_hidden_state[0], indices(name), 1e-5
        )
    return case


def clip_model():
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
    )
    return CLIPVisionModel(config).eval()


def clip_states(model, pixels):
    with torch.no_grad():
        return model(pixel_values=pixels[None], output_hidden_states=True).hidden_states[-2][0]


def spec_image(name):
    """Filled by the full names `visual.*`; the spec's own numbers use names without that prefix."""
    case = Case(name, "image", "CLIPVisionModel under original names", layout="original")
    model = clip_model()
    keys = (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "image_size",
        "patch_size",
        "hidden_act",
        "layer_norm_eps",
    )
    config = {k: getattr(model.config, k) for k in keys}
    case.model("image_encoder", config, CLIP_RULES, model, original.clip_entries(model, 3, 32))
    states = clip_states(model, case.filled("pixels", [3, 28, 28], 2.0, rule_name="input.img"))
    case.expect_digest("states", states, indices(name), 1e-5)
    return case


def spec_vae(name):
    component = name.removeprefix("spec_").replace("_", "-")
    case = Case(name, component, "AutoencoderKLWan under original names", layout="original")
    model = (
        AutoencoderKLWan(base_dim=8, z_dim=16, latents_mean=MEAN, latents_std=STD)
        .eval()
        .requires_grad_(False)
    )
    keys = (
        "base_dim",
        "z_dim",
        "dim_mult",
        "num_res_blocks",
        "attn_scales",
        "temperal_downsample",
        "dropout",
        "latents_mean",
        "latents_std",
    )
    case.model(
        "vae", {k: model.config[k] for k in keys}, VAE_RULES, model, original.vae_entries(model, 2)
    )
    if component == "vae-encode":
        case.expect_digest(
            "latent", encode(model, case.filled("video", [3, 9, 16, 24])), indices(name), 1e-5
        )
    else:
        raw = decode_raw(model, case.filled("latent", [16, 3, 2, 3]))
        case.expect_digest("video_raw", raw, indices(name), 1e-4)
    return case


CASES = {
    "spec_dit_i2v": spec_dit,
    "spec_dit_t2v": spec_dit,
    "spec_text": spec_text,
    "spec_image": spec_image,
    "spec_vae_encode": spec_vae,
    "spec_vae_decode": spec_vae,
}


def make(name):
    return CASES[name](name)
