"""Names and shapes of the original Wan2.1 checkpoints, as places in the real modules.

Each function returns [(original name, original shape, [(module weight, part or None)])]: `part`
picks the rows of a fused original tensor that go into that weight.
"""

DIT_OUTER = {
    "patch_embedding": "patch_embedding",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.image_embedder.norm1": "img_emb.proj.0",
    "condition_embedder.image_embedder.ff.net.0.proj": "img_emb.proj.1",
    "condition_embedder.image_embedder.ff.net.2": "img_emb.proj.3",
    "condition_embedder.image_embedder.norm2": "img_emb.proj.4",
    "proj_out": "head.head",
}
DIT_BLOCK = {
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "o",
    "norm_q": "norm_q",
    "norm_k": "norm_k",
    "add_k_proj": "k_img",
    "add_v_proj": "v_img",
    "norm_added_k": "norm_k_img",
}


def dit_name(name):
    """Original name of a diffusers transformer weight."""
    if name == "scale_shift_table":
        return "head.modulation"
    if name.startswith("blocks."):
        _, block, rest = name.split(".", 2)
        if rest == "scale_shift_table":
            return f"blocks.{block}.modulation"
        module, kind = rest.rsplit(".", 1)
        if module.startswith("attn"):
            which, part = module.split(".", 1)
            module = {"attn1": "self_attn", "attn2": "cross_attn"}[which] + "." + DIT_BLOCK[part]
        else:
            module = {"norm2": "norm3", "ffn.net.0.proj": "ffn.0", "ffn.net.2": "ffn.2"}[module]
        return f"blocks.{block}.{module}.{kind}"
    module, kind = name.rsplit(".", 1)
    return f"{DIT_OUTER[module]}.{kind}"


def dit_entries(model):
    return [(dit_name(k), list(v.shape), [(k, None)]) for k, v in model.state_dict().items()]


T5_NAMES = {
    "layer.0.layer_norm": "norm1",
    "layer.0.SelfAttention.q": "attn.q",
    "layer.0.SelfAttention.k": "attn.k",
    "layer.0.SelfAttention.v": "attn.v",
    "layer.0.SelfAttention.o": "attn.o",
    "layer.0.SelfAttention.relative_attention_bias": "pos_embedding.embedding",
    "layer.1.layer_norm": "norm2",
    "layer.1.DenseReluDense.wi_0": "ffn.gate.0",
    "layer.1.DenseReluDense.wi_1": "ffn.fc1",
    "layer.1.DenseReluDense.wo": "ffn.fc2",
}


def text_entries(model):
    """umT5 encoder."""
    out = []
    for key, value in model.state_dict().items():
        if key == "shared.weight":
            name = "token_embedding.weight"
        elif key == "encoder.final_layer_norm.weight":
            name = "norm.weight"
        elif key.startswith("encoder.block."):
            _, _, block, rest = key.split(".", 3)
            name = f"blocks.{block}.{T5_NAMES[rest.removesuffix('.weight')]}.weight"
        else:
            continue
        out.append((name, list(value.shape), [(key, None)]))
    return out


def clip_hf_entries(model):
    """HF files prefix every name with `vision_model.`; transformers 5 has dropped that prefix."""
    return [
        ("vision_model." + k, list(v.shape), [(k, None)]) for k, v in model.state_dict().items()
    ]


def clip_entries(model, layers, dim, prefix="visual."):
    """CLIP vision tower; q, k and v stand fused in the original."""

    def rows(i):
        return lambda data: data[i * dim : (i + 1) * dim]

    state, out = model.state_dict(), []

    def add(name, key, shape=None):
        out.append((prefix + name, shape or list(state[key].shape), [(key, None)]))

    tokens = state["embeddings.position_embedding.weight"].shape[0]
    add("cls_embedding", "embeddings.class_embedding", [1, 1, dim])
    add("patch_embedding.weight", "embeddings.patch_embedding.weight")
    add("pos_embedding", "embeddings.position_embedding.weight", [1, tokens, dim])
    for kind in ("weight", "bias"):
        add(f"pre_norm.{kind}", f"pre_layrnorm.{kind}")
        add(f"post_norm.{kind}", f"post_layernorm.{kind}")
        for n in range(layers):
            here, there = f"transformer.{n}.", f"encoder.layers.{n}."
            fused = [(f"{there}self_attn.{p}_proj.{kind}", rows(i)) for i, p in enumerate("qkv")]
            out.append(
                (
                    f"{prefix}{here}attn.to_qkv.{kind}",
                    [3 * dim, *([dim] if kind == "weight" else [])],
                    fused,
                )
            )
            for a, b in (
                ("norm1", "layer_norm1"),
                ("attn.proj", "self_attn.out_proj"),
                ("norm2", "layer_norm2"),
                ("mlp.0", "mlp.fc1"),
                ("mlp.2", "mlp.fc2"),
            ):
                add(f"{here}{a}.{kind}", f"{there}{b}.{kind}")
    return out


RES = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}


def _vae_name(key, res_blocks):
    """Original name of one diffusers VAE weight."""
    key = key.replace("mid_block.resnets.0", "middle.0").replace(
        "mid_block.attentions.0", "middle.1"
    )
    key = key.replace("mid_block.resnets.1", "middle.2").replace("conv_in", "conv1")
    key = key.replace("norm_out", "head.0").replace("conv_out", "head.2")
    if key.startswith("quant_conv"):
        return key.replace("quant_conv", "conv1")
    if key.startswith("post_quant_conv"):
        return key.replace("post_quant_conv", "conv2")
    key = key.replace("encoder.down_blocks", "encoder.downsamples")
    if key.startswith("decoder.up_blocks"):
        _, _, stage, kind, index, rest = key.split(".", 5)
        flat = int(stage) * (res_blocks + 2) + (int(index) if kind == "resnets" else res_blocks + 1)
        key = f"decoder.upsamples.{flat}.{rest}"
    parts = key.split(".")
    if parts[1] != "conv1":
        parts = [RES.get(p, p) if "samples" in key or "middle" in key else p for p in parts]
    return ".".join(parts)


def vae_entries(model, res_blocks):
    return [
        (_vae_name(k, res_blocks), list(v.shape), [(k, None)])
        for k, v in model.state_dict().items()
    ]
