"""Sampling cases: guided denoising on the real DiT and schedulers, and the real pipeline."""

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
)

from case import Case
from dit import dit_config, double_time, make_dit, pad_text, run_dit
from samplers import SAMPLERS, run
from vae import make_vae, stats

# name: config arguments, weight scale, latent grid, text rows (positive, negative), image rows,
# sampler, steps, shift, guidance
PLAIN = {
    "sample_euler_i2v": (
        (2, 16, 2, 48, 12, 16, 20),
        0.25,
        (2, 4, 4),
        (7, 4),
        5,
        "euler",
        5,
        5.0,
        5.0,
    ),
    "sample_euler_diffusers_t2v": (
        (2, 20, 1, 56, 12, 16),
        0.2,
        (1, 4, 6),
        (21, 1),
        0,
        "euler-diffusers",
        6,
        3.0,
        4.0,
    ),
    "sample_unipc_i2v": (
        (3, 12, 1, 48, 10, 32, 24),
        0.25,
        (3, 2, 4),
        (12, 30),
        9,
        "unipc",
        6,
        3.0,
        5.0,
    ),
    "sample_unipc_official_i2v": (
        (1, 24, 2, 64, 12, 16, 20),
        0.25,
        (2, 4, 2),
        (5, 512),
        7,
        "unipc-official",
        8,
        5.0,
        3.5,
    ),
    "sample_unipc_t2v": ((2, 16, 1, 48, 12, 16), 0.25, (1, 2, 6), (9, 1), 0, "unipc", 4, 8.0, 1.0),
}
# the same with pixel frames, height and width instead of the latent grid
PIPELINE = {
    "sample_pipeline_unipc": (
        (2, 16, 2, 48, 12, 16, 20),
        0.25,
        (5, 16, 32),
        (7, 4),
        5,
        "unipc",
        5,
        3.0,
        5.0,
    ),
    "sample_pipeline_euler": (
        (2, 12, 1, 40, 10, 16, 16),
        0.25,
        (9, 32, 16),
        (11, 2),
        6,
        "euler-diffusers",
        4,
        5.0,
        3.0,
    ),
}
VAE_CONFIG, VAE_SCALE = {"base_dim": 4}, 0.12
TOL = 1e-4


def start(name, table, source):
    """The case and what every sampling case has: model, noise, text and image rows."""
    args, scale, _, (rows, negative_rows), image_rows, sampler, steps, shift, guidance = table[name]
    case = Case(
        name,
        "sample",
        source,
        args={"sampler": sampler, "steps": steps, "shift": shift, "guidance": guidance},
    )
    config = dit_config(*args)
    ins = {"text": case.filled("text", [rows, config["text_dim"]], 1.5)}
    ins["text_neg"] = case.filled("text_neg", [negative_rows, config["text_dim"]], 1.5)
    if config["image_dim"]:
        ins["image"] = case.filled("image", [image_rows, config["image_dim"]])
    return case, make_dit(case, config, scale), ins


def finish(case, trajectory):
    case.expect("trajectory", trajectory, TOL)
    case.expect("latent", trajectory[-1], TOL)
    return case


def make_plain(name):
    """Denoising loop with classifier-free guidance over the real classes."""
    case, model, ins = start(name, PLAIN, "WanTransformer3DModel + the diffusers scheduler")
    grid, (sampler, steps, shift, guidance) = PLAIN[name][2], PLAIN[name][5:]
    noise = case.filled("noise", [16, *grid], 1.7)
    same = {"image": ins["image"], "y": case.filled("y", [20, *grid])} if "image" in ins else {}

    def velocity(x, t):
        negative = run_dit(model, x, t, ins["text_neg"], **same)
        return negative + guidance * (run_dit(model, x, t, ins["text"], **same) - negative)

    with torch.no_grad():
        return finish(case, run(SAMPLERS[sampler](steps, shift), noise, velocity))


def pipeline_scheduler(sampler, shift):
    if sampler == "unipc":
        return UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
        )
    return FlowMatchEulerDiscreteScheduler(shift=shift)


def run_pipeline(name):
    """The real pipeline with injected noise, text and CLIP states: case, y, latents per step."""
    case, model, ins = start(name, PIPELINE, "WanImageToVideoPipeline end to end")
    (frames, height, width), (sampler, steps, shift, guidance) = (
        PIPELINE[name][2],
        PIPELINE[name][5:],
    )
    noise = case.filled("noise", [16, (frames - 1) // 4 + 1, height // 8, width // 8], 1.7)
    vae = make_vae(Case(name, "", ""), VAE_SCALE, **VAE_CONFIG)
    scheduler = pipeline_scheduler(sampler, shift)
    case.config("scheduler", {"_class_name": type(scheduler).__name__, **scheduler.config})
    pipe = WanImageToVideoPipeline(
        tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, transformer=model
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.encode_image = lambda *_: ins["image"][None]
    seen, prepare = {"latents": []}, pipe.prepare_latents

    def spy(*args, **kwargs):
        latents, seen["y"] = prepare(*args, **kwargs)
        return latents, seen["y"]

    def on_step(_, i, t, tensors):
        seen["latents"].append(tensors["latents"][0].clone())
        return {}

    pipe.prepare_latents = spy
    with double_time():
        final = pipe(
            image=first_frame(name)[None],
            height=height,
            width=width,
            num_frames=frames,
            num_inference_steps=steps,
            guidance_scale=guidance,
            prompt_embeds=pad_text(ins["text"])[None],
            negative_prompt_embeds=pad_text(ins["text_neg"])[None],
            latents=noise[None],
            output_type="latent",
            callback_on_step_end=on_step,
            return_dict=False,
        )[0]
    trajectory = torch.stack(seen["latents"])
    assert torch.equal(final[0], trajectory[-1])
    return case, seen["y"][0], trajectory


def first_frame(name):
    """The conditioning image in [-1,1], never outside."""
    _, height, width = PIPELINE[name][2]
    return Case(name, "", "").filled("first_frame", [3, height, width], 0.9)


def make_pipeline(name):
    case, y, trajectory = run_pipeline(name)
    case.stored("y", y)
    return finish(case, trajectory)


def make_condition(name):
    """The condition video of a pipeline case, and the latent part of the y it built."""
    parent = "sample_pipeline_unipc"
    _, y, _ = run_pipeline(parent)
    case = Case(name, "vae-encode", f"AutoencoderKLWan inside WanImageToVideoPipeline ({parent})")
    model = make_vae(case, VAE_SCALE, **VAE_CONFIG)
    frames, height, width = PIPELINE[parent][2]
    video = torch.zeros(3, frames, height, width)
    video[:, 0] = first_frame(parent)
    case.stored("video", video)
    case.expect("latent", y[4:], 1e-5)
    mean, std = stats(model)
    with torch.no_grad():
        direct = (model.encode(video[None]).latent_dist.mode()[0] - mean) / std
    assert torch.allclose(direct, y[4:], atol=1e-6)
    return case


CASES = {**PLAIN, **PIPELINE, "vae_encode_condition": None}


def make(name):
    if name in PLAIN:
        return make_plain(name)
    return make_pipeline(name) if name in PIPELINE else make_condition(name)
