"""Models and inputs of the races: random weights that bf16 holds exactly, so that every side and
precision starts from the same numbers."""
import os

import numpy
import torch
from safetensors.torch import load_file, save_file

RANK = 16


def rounded(module):
    for p in module.parameters():
        p.data = p.data.to(torch.bfloat16).float()
    return module


def fill(module, seed):
    torch.manual_seed(seed)
    for name, p in module.named_parameters():
        if p.ndim > 1:
            fan_in = p.numel() // p.shape[0]
            p.data.normal_(0, fan_in ** -0.5)
        elif "norm" not in name or name.endswith("bias"):
            p.data.normal_(0, 0.02)
    return rounded(module)


def save(module, folder, sub, dtype):
    module.to(dtype).save_pretrained(os.path.join(folder, sub))


def dit(folder, dim, heads, ffn, blocks, grid, image=0, text_rows=512, dtype=torch.bfloat16):
    from diffusers import WanTransformer3DModel
    channels = 36 if image else 16
    m = WanTransformer3DModel(num_attention_heads=heads, attention_head_dim=dim // heads,
                              in_channels=channels, out_channels=16, text_dim=4096, freq_dim=256,
                              ffn_dim=ffn, num_layers=blocks, image_dim=image or None,
                              added_kv_proj_dim=dim if image else None)
    fill(m, 1)
    save(m, folder, "transformer", dtype)
    f, h, w = grid[0], 2 * grid[1], 2 * grid[2]
    g = torch.Generator().manual_seed(2)
    text = torch.randn(text_rows, 4096, generator=g)
    inputs = {"x": torch.randn(16, f, h, w, generator=g), "t": torch.tensor([500.0]),
              "target": torch.randn(16, f, h, w, generator=g), "text": text,
              "text512": torch.cat([text, torch.zeros(512 - text_rows, 4096)])}
    if image:
        inputs["y"] = torch.randn(20, f, h, w, generator=g)
        inputs["image"] = torch.randn(257, image, generator=g)
    for name, p in m.named_parameters():
        part = name.removesuffix(".weight")
        if name.startswith("blocks.") and p.ndim == 2 and name.endswith(".weight") and any(
                part.endswith(t) for t in ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj",
                                           "ffn.net.2")):
            out, inner = p.shape
            inputs[part + ".lora_A.weight"] = torch.randn(RANK, inner, generator=g) / inner ** 0.5
            inputs[part + ".lora_B.weight"] = 0.02 * torch.randn(out, RANK, generator=g)
    save_file(inputs, os.path.join(folder, "inputs.safetensors"))


def vae(folder, frames, height, width, base=96, dtype=torch.float32):
    from diffusers import AutoencoderKLWan
    m = fill(AutoencoderKLWan(base_dim=base), 3)
    save(m, folder, "vae", dtype)
    g = torch.Generator().manual_seed(4)
    save_file({"video": 2 * torch.rand(3, frames, height, width, generator=g) - 1,
               "latent": torch.randn(16, (frames - 1) // 4 + 1, height // 8, width // 8,
                                     generator=g)},
              os.path.join(folder, "inputs.safetensors"))


def text(folder, layers, rows, dtype=torch.bfloat16):
    from transformers import UMT5Config, UMT5EncoderModel
    c = UMT5Config(vocab_size=1024, d_model=4096, d_kv=64, d_ff=10240, num_layers=layers,
                   num_heads=64, feed_forward_proj="gated-gelu", use_cache=False)
    save(fill(UMT5EncoderModel(c), 5), folder, "text_encoder", dtype)
    g = torch.Generator().manual_seed(6)
    save_file({"ids": torch.randint(3, 1000, (rows,), generator=g, dtype=torch.int32)},
              os.path.join(folder, "inputs.safetensors"))


def image(folder, layers, dtype=torch.bfloat16):
    from transformers import CLIPVisionConfig, CLIPVisionModel
    c = CLIPVisionConfig(hidden_size=1280, intermediate_size=5120, num_hidden_layers=layers,
                         num_attention_heads=16, image_size=224, patch_size=14, hidden_act="gelu")
    save(fill(CLIPVisionModel(c), 7), folder, "image_encoder", dtype)
    path = os.path.join(folder, "image_encoder", "model.safetensors")
    weights = {k if k.startswith("vision_model.") else "vision_model." + k: v.clone()
               for k, v in load_file(path).items()}  # the names of published models
    save_file(weights, path, metadata={"format": "pt"})
    g = torch.Generator().manual_seed(8)
    save_file({"pixels": torch.randn(3, 224, 224, generator=g)},
              os.path.join(folder, "inputs.safetensors"))


# Parts of Diffusers' names and what stable-diffusion.cpp calls them, as the authors do.
ORIGINAL = [("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
            ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
            ("condition_embedder.time_proj", "time_projection.1"),
            ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
            ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
            ("proj_out", "head.head"), ("attn1", "self_attn"), ("attn2", "cross_attn"),
            ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"), ("norm2", "norm3"),
            ("ffn.net.0.proj", "ffn.0"), ("ffn.net.2", "ffn.2")]


def original(name):
    if name == "scale_shift_table":
        return "head.modulation"
    for diffusers, theirs in ORIGINAL:
        name = name.replace(diffusers, theirs)
    return name.replace("scale_shift_table", "modulation")


def sdcpp(folder, mode):
    """The transformer as stable-diffusion.cpp reads it, and its inputs as plain floats."""
    dtype = torch.bfloat16 if mode == "bf16" else torch.float32
    weights = load_file(os.path.join(folder, "transformer", "diffusion_pytorch_model.safetensors"))
    path = os.path.join(folder, f"sdcpp-{mode}.safetensors")
    save_file({"model.diffusion_model." + original(k): v.to(dtype) for k, v in weights.items()},
              path)
    inputs = load_file(os.path.join(folder, "inputs.safetensors"))
    for name, key in (("x", "x"), ("text", "text512")):
        given = os.path.join(folder, f"sdcpp-{name}.bin")
        if not os.path.exists(given):  # another side may be reading it
            inputs[key].numpy().tofile(given)
    return path


def read_floats(path, shape):
    return torch.from_numpy(numpy.fromfile(path, dtype=numpy.float32).reshape(shape))
