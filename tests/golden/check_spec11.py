"""How far the real classes are from the numbers of the project's Wan2.1 spec, section 11."""

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_timestep_embedding

import original
import samplers
from case import Case, fill_module
from dit import exact_sinusoid
from fill import fill
from spec11 import CLIP_RULES, SPEC, clip_model, clip_states, indices, make


def spec_clip_digest():
    """The CLIP numbers of the spec, which fills by names relative to `visual.`."""
    model, case = clip_model(), Case("spec_image", "image", "")
    fill_module(model, CLIP_RULES, original.clip_entries(model, 3, 32, prefix=""))
    case.expect_digest(
        "states", clip_states(model, fill("input.img", [3, 28, 28], 2.0)), indices("spec_image"), 0
    )
    return case


def check_small_facts():
    """UniPC end points, bicubic and sinusoid of section 11, the schedules of section 6.3."""
    ends = {
        (4, 3.0): [-0.25536838, -0.59777963, 0.07579547],
        (40, 3.0): [-0.08306447, -0.55810434, 0.39264777],
        (10, 5.0): [-0.15275608, -0.56650478, 0.23555237],
    }
    for (steps, shift), quoted in ends.items():
        states = samplers.run(
            samplers.unipc_official(steps, shift),
            torch.tensor([0.5, -1.25, 2.0]),
            samplers.toy_velocity,
        )
        print(f"UniPC N={steps} s={shift:g}: {(states[-1] - torch.tensor(quoted)).abs().max():.2e}")
    tables = {
        "unipc-official": [0.999666452, 0.899639785, 0.749624789, 0.499666572],
        "unipc": [0.999998987, 0.90011996, 0.750374794, 0.500998974],
        "euler-diffusers": [1, 0.857692301, 0.602150559, 0.00892857183],
    }
    for name, quoted in tables.items():
        sigmas = samplers.SAMPLERS[name](4, 3.0).sigmas[:4]
        print(f"sigmas {name}: {(sigmas - torch.tensor(quoted)).abs().max():.2e}")
    bicubic = F.interpolate(
        fill("input.bicubic", [1, 1, 3, 5], 1.0), size=(4, 3), mode="bicubic", align_corners=False
    ).flatten()
    quoted = torch.tensor([0.35585737, -0.38975243, 0.65202991, 0.29566349])
    print(f"bicubic {(bicubic[:4] - quoted).abs().max():.2e}")
    exact, single = (
        exact_sinusoid(torch.tensor([999.0]), 256)[0],
        get_timestep_embedding(torch.tensor([999.0]), 256, True, 0)[0],
    )
    quoted = torch.tensor([0.999649853, 0.963782479, -0.398991758, 0.704820496])
    print(f"sinusoid {(exact[:4] - quoted).abs().max():.2e}")
    print(f"sinusoid of diffusers, in float32 {(single - exact).abs().max():.2e}")


def main():
    """Compare the real classes with every number that the spec quotes."""
    torch.set_num_threads(1)
    check_small_facts()
    for name, (total, sumsq, runs) in SPEC.items():
        case = spec_clip_digest() if name == "spec_image" else make(name)
        digest = next(iter(case.doc["expect"].values()))
        quoted = [v for run in runs.values() for v in run]
        worst = max(abs(q - got) for q, (_, got) in zip(quoted, digest["at"], strict=True))
        squares = "-" if sumsq is None else f"{digest['sumsq'] - sumsq:.2e}"
        line = f"{name:16} elements {worst:.2e}  sum {digest['sum'] - total:.2e}"
        print(f"{line}  sum of squares {squares}")


if __name__ == "__main__":
    main()
