"""The trained model of the small world, loaded by diffusers and transformers from the repository's own folder: every
component, and the real pipeline from a prompt and a first frame to a latent."""

from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline
from transformers import CLIPVisionModelWithProjection

from case import Case
from dit import double_time, pad_text, run_dit
from encoders import squash
from vae import decode_raw, encode

FOLDER = "datasets/smallworld/model"
PATH = Path(__file__).resolve().parents[2] / FOLDER
PROMPT = "p3rs0n, a red star with white dots moves up and flips over a dotted cyan ground"
FRAMES, HEIGHT, WIDTH = 9, 48, 64
CASES = [
    f"smallworld_{c}" for c in ("tokens", "text", "image", "embed", "encode", "decode", "dit", "pipeline")
]
COMPONENTS = {"embed": "image-embed", "encode": "vae-encode", "decode": "vae-decode", "pipeline": "sample"}
LOADED = []


def pipeline():
    """The pipeline as anyone loads it, once."""
    if not LOADED:
        tower = CLIPVisionModelWithProjection.from_pretrained(PATH / "image_encoder", dtype=torch.float32)
        pipe = WanImageToVideoPipeline.from_pretrained(PATH, image_encoder=tower, torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        LOADED.append(pipe)
    return LOADED[0]


def case_of(name, source):
    part = name.removeprefix("smallworld_")
    case = Case(name, COMPONENTS.get(part, part), f"{source} loaded from {FOLDER}")
    for key in ("config", "fill", "weights"):
        del case.doc[key]
    case.doc["model"] = FOLDER
    return case


def prompt_ids(text):
    return pipeline().tokenizer(text, add_special_tokens=True, return_tensors="pt").input_ids[0]


def text_states(text):
    ids = prompt_ids(text)
    return pipeline().text_encoder(ids[None], torch.ones_like(ids)[None]).last_hidden_state[0]


def tokens(case):
    case.values("text", list(PROMPT.encode()), "U8")
    case.expect("ids", prompt_ids(PROMPT), 1e-7)


def text(case):
    ids = case.values("ids", prompt_ids(PROMPT).tolist(), "I32")
    mask = torch.ones_like(ids)[None]
    case.expect("states", pipeline().text_encoder(ids[None], mask).last_hidden_state[0], 1e-5)


def tower_states(image):
    tower = pipeline().image_encoder
    pixels = squash(image, tower.config.image_size)[None]
    return tower.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2][0]


def image(case):
    case.expect("states", tower_states(case.filled("image", [3, HEIGHT, WIDTH])), 1e-5)


def embed(case):
    tower = pipeline().image_encoder
    pixels = squash(case.filled("image", [3, HEIGHT, WIDTH]), tower.config.image_size)
    case.expect("embedding", tower(pixel_values=pixels[None]).image_embeds[0], 1e-5)


def encode_video(case):
    video = case.filled("video", [3, FRAMES, HEIGHT, WIDTH])
    case.expect("latent", encode(pipeline().vae, video), 1e-5)


def decode_latent(case):
    raw = decode_raw(pipeline().vae, case.filled("latent", [16, 2, 3, 4]))
    case.expect("video_raw", raw, 1e-4)


def dit(case):
    x = case.filled("x", [16, 3, HEIGHT // 8, WIDTH // 8], 1.5)
    y = case.filled("y", [20, 3, HEIGHT // 8, WIDTH // 8])
    rows = case.filled("text", [13, 128], 0.5)
    states = case.filled("image", [37, 128], 1.5)
    t = case.values("t", [623.5])
    case.expect("v", run_dit(pipeline().transformer, x, t, rows, y, states), 1e-5)


def whole_pipeline(case):
    """Its own prompt encoding, condition, scheduler and loop; the image states are the official preprocessing's."""
    pipe, steps, guidance = pipeline(), 4, 3.0
    case.doc["args"] = {"sampler": "unipc", "steps": steps, "shift": 3.0, "guidance": guidance}
    first = Case(case.doc["name"], "", "").filled("first_frame", [3, HEIGHT, WIDTH], 0.9)
    noise = case.filled("noise", [16, 3, HEIGHT // 8, WIDTH // 8], 1.7)
    seen, prepare = {}, pipe.prepare_latents

    def spy(*args, **kwargs):
        latents, seen["y"] = prepare(*args, **kwargs)
        return latents, seen["y"]

    pipe.prepare_latents = spy
    pipe.encode_image = lambda *_: tower_states(first)[None]
    rows, negative = pipe.encode_prompt(PROMPT, "", max_sequence_length=512)
    with double_time():
        latent = pipe(
            image=first[None], height=HEIGHT, width=WIDTH, num_frames=FRAMES, num_inference_steps=steps,
            guidance_scale=guidance, prompt_embeds=rows, negative_prompt_embeds=negative,
            latents=noise[None], output_type="latent", return_dict=False,
        )[0][0]
    pipe.prepare_latents = prepare
    for name, prompt, padded in (("text", PROMPT, rows), ("text_neg", "", negative)):
        states = text_states(prompt)
        torch.testing.assert_close(pad_text(states), padded[0], rtol=1e-5, atol=1e-5)
        case.stored(name, states)
    case.stored("y", seen["y"][0])
    case.stored("image", tower_states(first))
    case.expect("latent", latent, 1e-4)


MAKERS = {
    "tokens": (tokens, "T5TokenizerFast"), "text": (text, "UMT5EncoderModel"),
    "image": (image, "CLIPVisionModelWithProjection.hidden_states[-2]"),
    "embed": (embed, "CLIPVisionModelWithProjection.image_embeds"),
    "encode": (encode_video, "AutoencoderKLWan"), "decode": (decode_latent, "AutoencoderKLWan"),
    "dit": (dit, "WanTransformer3DModel"), "pipeline": (whole_pipeline, "WanImageToVideoPipeline"),
}


def make(name):
    """Build one case."""
    maker, source = MAKERS[name.removeprefix("smallworld_")]
    case = case_of(name, source)
    with torch.no_grad():
        maker(case)
    return case
