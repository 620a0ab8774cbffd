"""Packs a trained model for the repository: weights as 16-bit floats, and the small files of a Diffusers folder.

    python finish.py --model MODEL --out datasets/smallworld/model"""

import argparse
import json
import os
import shutil

import torch
from diffusers import UniPCMultistepScheduler
from safetensors.torch import load_file, save_file

p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--model", required=True)
p.add_argument("--out", required=True)
a = p.parse_args()

PARTS = {"transformer": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model",
         "image_encoder": "model"}
for part, stem in PARTS.items():
    source, target = os.path.join(a.model, part), os.path.join(a.out, part)
    os.makedirs(target, exist_ok=True)
    weights = load_file(os.path.join(source, stem + ".safetensors"))
    # Half floats keep three more bits than bf16, and nothing here is near their limits.
    packed = {k: v if v.dtype == torch.int64 else v.half() for k, v in weights.items() if "position_ids" not in k}
    assert all(torch.isfinite(v).all() for v in packed.values())
    save_file(packed, os.path.join(target, stem + ".safetensors"), metadata={"format": "pt"})
    with open(os.path.join(source, "config.json")) as f:
        config = json.load(f)
    if "torch_dtype" in config or "dtype" in config:
        config["dtype"] = "float16"
        config.pop("torch_dtype", None)
    config.pop("_name_or_path", None)
    with open(os.path.join(target, "config.json"), "w") as f:
        json.dump(config, f, indent=2, sort_keys=True)
        f.write("\n")
shutil.copytree(os.path.join(a.model, "tokenizer"), os.path.join(a.out, "tokenizer"), dirs_exist_ok=True)
UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0,
                        num_train_timesteps=1000).save_pretrained(os.path.join(a.out, "scheduler"))
processor = {"image_processor_type": "CLIPImageProcessor", "crop_size": {"height": 48, "width": 48},
             "size": {"shortest_edge": 48}, "image_mean": [0.48145466, 0.4578275, 0.40821073],
             "image_std": [0.26862954, 0.26130258, 0.27577711]}
os.makedirs(os.path.join(a.out, "image_processor"), exist_ok=True)
with open(os.path.join(a.out, "image_processor", "preprocessor_config.json"), "w") as f:
    json.dump(processor, f, indent=2)
index = {"_class_name": "WanImageToVideoPipeline",
         "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
         "image_processor": ["transformers", "CLIPImageProcessor"],
         "scheduler": ["diffusers", "UniPCMultistepScheduler"],
         "text_encoder": ["transformers", "UMT5EncoderModel"],
         "tokenizer": ["transformers", "T5TokenizerFast"],
         "transformer": ["diffusers", "WanTransformer3DModel"],
         "vae": ["diffusers", "AutoencoderKLWan"]}
with open(os.path.join(a.out, "model_index.json"), "w") as f:
    json.dump(index, f, indent=2)
size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(a.out) for f in files)
print(f"{a.out}: {size / 1e6:.1f} MB")
