"""LoRA cases: gradients of the flow-matching loss and a short AdamW run on the real DiT."""

import torch
from torch import nn

from case import Case
from dit import dit_config, dit_inputs, make_dit, run_dit

ATTENTION = [f"{a}.{m}" for a in ("attn1", "attn2") for m in ("to_q", "to_k", "to_v", "to_out.0")]
ALL = [*ATTENTION, "ffn.net.0.proj", "ffn.net.2"]


class LoraLinear(nn.Module):
    """y = W x + b + alpha/r * B (A x) around a frozen linear."""

    def __init__(self, base, a, b, scale):
        super().__init__()
        self.base, self.a, self.b, self.scale = base, nn.Parameter(a), nn.Parameter(b), scale
        self.in_features, self.out_features = a.shape[1], b.shape[0]

    def forward(self, x):
        return self.base(x) + self.scale * ((x @ self.a.T) @ self.b.T)


def add_adapters(case, model, targets, rank, alpha=None, size=0.3, frozen_weight=None):
    """Wrap the target linears of every block; returns {adapter name: parameter}. With a
    frozen_weight the inputs are those of the frozen adapter, to be wrapped before the trained one."""
    prefix = "" if frozen_weight is None else "frozen."
    weight = 1.0 if frozen_weight is None else frozen_weight
    if alpha is not None:
        case.values("frozen_alpha" if prefix else "alpha", [alpha])
    if prefix:
        case.values("frozen_weight", [weight])
    params = {}
    for n, block in enumerate(model.blocks):
        for target in targets:
            base = block.get_submodule(target)
            names = [f"{prefix}blocks.{n}.{target}.lora_{side}.weight" for side in "AB"]
            a = case.filled(names[0], [rank, base.in_features], size, rule_name=names[0])
            b = case.filled(names[1], [base.out_features, rank], size, rule_name=names[1])
            lora = LoraLinear(base, a, b, weight * (alpha if alpha is not None else rank) / rank)
            block.set_submodule(target, lora)
            params.update(zip(names, (lora.a, lora.b), strict=True))
    return params


def digest_indices(tensor, count=12):
    """A few indices spread over a tensor, first and last included."""
    flat = [round(i * (tensor.numel() - 1) / (count - 1)) for i in range(count)]
    return [[int(v) for v in torch.unravel_index(torch.tensor(f), tensor.shape)] for f in flat]


# name: config arguments, weight scale, grid, text rows, t, image rows, targets, rank, alpha
GRADS = {
    "dit_grad_i2v_a": ((2, 16, 2, 48, 12, 16, 20), 0.25, (2, 4, 6), 7, 612.5, 5, ALL, 3, 6.0),
    "dit_grad_i2v_b": ((1, 64, 1, 96, 16, 32, 24), 0.2, (1, 6, 8), 40, 125.0, 9, ATTENTION, 4, 1.0),
    "dit_grad_i2v_c": ((2, 28, 1, 72, 12, 32, 20), 0.2, (3, 10, 18), 70, 812.0, 65, ALL, 2, 4.0),
    "dit_grad_t2v_a": (
        (3, 12, 2, 64, 10, 16),
        0.25,
        (3, 2, 4),
        17,
        903.0,
        0,
        ["attn1.to_q", "attn1.to_v", "ffn.net.2"],
        2,
        None,
    ),
    "dit_grad_t2v_b": (
        (4, 24, 1, 120, 10, 32),
        0.16,
        (2, 4, 4),
        512,
        37.25,
        0,
        ["attn2.to_k", "attn2.to_v", "attn1.to_k", "ffn.net.0.proj"],
        8,
        None,
    ),
    "dit_grad_14b_block": (
        (40, 128, 1, 13824, 64, 256, 64),
        0.024,
        (1, 8, 12),
        48,
        500.0,
        257,
        ALL,
        4,
        None,
    ),
}
LONG = ("dit_grad_14b_block",)

# of a frozen adapter beneath the trained one: targets, rank, alpha, weight
FROZEN = {
    "dit_grad_i2v_frozen": ([*ATTENTION, "ffn.net.2"], 5, 8.0, 0.75),
    "dit_grad_t2v_frozen": (["attn1.to_k", "attn2.to_k", "ffn.net.0.proj"], 1, None, -0.5),
}
GRADS["dit_grad_i2v_frozen"] = (
    (2, 16, 2, 48, 12, 16, 20),
    0.25,
    (2, 4, 4),
    9,
    412.5,
    5,
    ALL,
    3,
    6.0,
)
GRADS["dit_grad_t2v_frozen"] = (
    (2, 20, 3, 56, 12, 16),
    0.2,
    (1, 4, 6),
    21,
    88.0,
    0,
    ["attn2.to_v", "ffn.net.2"],
    2,
    None,
)


def make_grad(name):
    """Loss, velocity and adapter gradients of one forward and backward."""
    args, scale, grid, rows, t, image_rows, targets, rank, alpha = GRADS[name]
    large = name in LONG
    case = Case(
        name,
        "dit-grad",
        "WanTransformer3DModel + LoRA by autograd",
        label="long" if large else None,
    )
    config = dit_config(*args)
    model = make_dit(case, config, scale)
    ins = dit_inputs(case, config, grid, rows, t, image_rows)
    target = case.filled("target", [16, *grid], 1.5)
    if name in FROZEN:
        below, below_rank, below_alpha, weight = FROZEN[name]
        frozen = add_adapters(case, model, below, below_rank, below_alpha, 0.3, weight)
        for parameter in frozen.values():
            parameter.requires_grad_(False)
    params = add_adapters(case, model, targets, rank, alpha, 0.02 if large else 0.3)
    v = run_dit(model, **ins)
    loss = (v - target).pow(2).mean()
    loss.backward()
    case.expect("loss", loss.reshape(1), 1e-5)
    outputs = [("v", v, 1e-5)] + [(f"grad.{k}", p.grad, 1e-4) for k, p in params.items()]
    for key, tensor, tol in outputs:
        if large:
            case.expect_digest(key, tensor, digest_indices(tensor), tol)
        else:
            case.expect(key, tensor, tol)
    return case


# the same without t, then lr, weight decay, gradient clip (0.1 clips about every second step)
TRAIN = {
    "train_i2v": (
        (2, 16, 1, 48, 12, 16, 20),
        0.25,
        (2, 4, 4),
        9,
        5,
        ALL,
        2,
        2.0,
        (1e-2, 0.01, 1.0),
    ),
    "train_t2v": (
        (2, 20, 2, 56, 12, 16),
        0.2,
        (1, 4, 6),
        21,
        0,
        ATTENTION,
        2,
        None,
        (2e-2, 0.1, 0.1),
    ),
}
STEPS = 20


def train_inputs(case, grid, lr, decay, clip):
    """Latents, noise, sigmas and the optimiser's settings."""
    x0 = case.filled("x0", [16, *grid], 1.5)
    noise = case.filled("noise", [STEPS, 16, *grid], 1.7)
    sigma = case.values("sigma", [((7 * i + 3) % STEPS) / STEPS + 1 / 64 for i in range(STEPS)])
    settings = {
        "lr": lr,
        "beta1": 0.9,
        "beta2": 0.99,
        "eps": 1e-8,
        "weight_decay": decay,
        "grad_clip": clip,
    }
    for key, value in settings.items():
        case.values(key, [value])
    return x0, noise, sigma, settings


def make_train(name):
    """Losses of 20 steps and the final adapters."""
    args, scale, grid, rows, image_rows, targets, rank, alpha, optimiser = TRAIN[name]
    case = Case(name, "train", "WanTransformer3DModel + LoRA, torch.optim.AdamW, clip_grad_norm_")
    config = dit_config(*args)
    model = make_dit(case, config, scale)
    ins = dit_inputs(case, config, grid, rows, None, image_rows)
    x0, noise, sigma, s = train_inputs(case, grid, *optimiser)
    params = add_adapters(case, model, targets, rank, alpha, 0.2)
    adam = torch.optim.AdamW(
        params.values(),
        lr=s["lr"],
        betas=(s["beta1"], s["beta2"]),
        eps=s["eps"],
        weight_decay=s["weight_decay"],
    )
    losses = []
    for i in range(STEPS):
        x = (1 - sigma[i]) * x0 + sigma[i] * noise[i]
        loss = (
            (run_dit(model, x=x, t=1000 * sigma[i : i + 1], **ins) - (noise[i] - x0)).pow(2).mean()
        )
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params.values(), s["grad_clip"])
        adam.step()
        losses.append(loss.item())
    case.expect("losses", torch.tensor(losses), 1e-3)
    for key, value in params.items():
        case.expect(key, value, 1e-3)
    return case


CASES = {**GRADS, **TRAIN}


def make(name):
    return make_grad(name) if name in GRADS else make_train(name)
