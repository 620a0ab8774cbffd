"""VAE cases: encode and decode of AutoencoderKLWan."""

from unittest import mock

import torch
from diffusers import AutoencoderKLWan

from case import Case

MEAN = [
    -0.7571,
    -0.7089,
    -0.9113,
    0.1075,
    -0.1745,
    0.9653,
    -0.1517,
    1.5508,
    0.4134,
    -0.0715,
    0.5517,
    -0.3632,
    -0.1922,
    -0.9497,
    0.2503,
    -0.2921,
]
STD = [
    2.8184,
    1.4541,
    2.3275,
    2.6558,
    1.2196,
    1.7708,
    2.6052,
    2.0743,
    3.2687,
    2.1526,
    2.8652,
    1.5579,
    1.6382,
    1.1253,
    2.8251,
    1.9160,
]


def vae_rules(scale):
    return [
        ["*gamma", 0.2, 1.0],
        ["*.bias", 0.05, 0.0],
        ["*resample.1.weight", 1.5 * scale, 0.0],
        ["*", scale, 0.0],
    ]


def stats(model):
    """Latent mean and std, broadcastable over [C,T,H,W]."""
    mean, std = model.config.latents_mean, model.config.latents_std
    return torch.tensor(mean).view(-1, 1, 1, 1), torch.tensor(std).view(-1, 1, 1, 1)


@torch.no_grad()
def encode(model, video):
    """Normalised latent of a video [3,T,H,W]: the mean of the posterior."""
    mean, std = stats(model)
    return (model.encode(video[None]).latent_dist.mode()[0] - mean) / std


@torch.no_grad()
def decode_raw(model, latent):
    """Decoded video before the final clamp: the real class with its one clamp made a no-op."""
    mean, std = stats(model)
    with mock.patch("torch.clamp", lambda x, **_: x):
        return model.decode((latent * std + mean)[None]).sample[0]


def make_vae(case, scale, z_dim=16, **config):
    """A filled AutoencoderKLWan, registered in the case."""
    mean, std = (
        (MEAN, STD)
        if z_dim == 16
        else ([0.1 * i - 0.2 for i in range(z_dim)], [1.0 + 0.5 * i for i in range(z_dim)])
    )
    model = (
        AutoencoderKLWan(z_dim=z_dim, latents_mean=mean, latents_std=std, **config)
        .eval()
        .requires_grad_(False)
    )
    case.model("vae", {"_class_name": "AutoencoderKLWan", **model.config}, vae_rules(scale), model)
    return model


# name: config, weight scale, frames, height, width (pixels to encode, latent cells to decode)
CASES = {
    "vae_encode_a": ({"base_dim": 4}, 0.12, 9, 16, 24),
    "vae_encode_b": (
        {"base_dim": 8, "num_res_blocks": 1, "dim_mult": [1, 2, 2, 3]},
        0.1,
        13,
        24,
        16,
    ),
    "vae_encode_c": ({"base_dim": 12, "z_dim": 4}, 0.08, 5, 32, 40),
    "vae_encode_d": ({"base_dim": 8}, 0.1, 1, 40, 24),
    "vae_encode_e": (
        {"base_dim": 4, "num_res_blocks": 1, "z_dim": 6, "dim_mult": [1, 1, 2, 2]},
        0.12,
        17,
        16,
        8,
    ),
    "vae_decode_a": ({"base_dim": 4}, 0.1, 3, 2, 3),
    "vae_decode_b": ({"base_dim": 8, "num_res_blocks": 1, "dim_mult": [1, 2, 2, 3]}, 0.08, 4, 2, 1),
    "vae_decode_c": ({"base_dim": 12, "z_dim": 4}, 0.06, 2, 3, 2),
    "vae_decode_d": ({"base_dim": 8}, 0.08, 1, 3, 4),
}


def make(name):
    """Build one case."""
    config, scale, frames, height, width = CASES[name]
    component = "-".join(name.split("_")[:2])
    case = Case(name, component, "AutoencoderKLWan")
    model = make_vae(case, scale, **config)
    if component == "vae-encode":
        case.expect("latent", encode(model, case.filled("video", [3, frames, height, width])), 1e-5)
    else:
        raw = decode_raw(
            model, case.filled("latent", [model.config.z_dim, frames, height, width], 1.5)
        )
        case.expect("video_raw", raw, 1e-4)
        case.expect("video", raw.clamp(-1, 1), 1e-4)
    return case
