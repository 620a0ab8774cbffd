"""The peer of a race: a process that holds one model and makes one step per line of its input.

    torch_side.py KIND MODE THREADS DIR

KIND is train, sample, vae-encode, vae-decode, text or image; MODE is fp32, autocast, bf16 (weights)
or compile (bf16 weights or fp32, compiled: compile-fp32, compile-bf16). DIR holds the model and
inputs.safetensors. Commands: "step" answers {"wall", "cpu"}, "result" writes DIR/torch.safetensors,
"quit". On start {"runtime", "opened"}: bytes resident before the model is read and before the first
step; "quit" answers {"peak"} of the steps.
"""
import json
import os
import resource
import sys
import time

import torch
from safetensors.torch import load_file, save_file

LORA = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]


def memory(key):
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return 0


def forget_peak():
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")


def cpu_now():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


class Dit:
    """WanTransformer3DModel, with PEFT's LoRA for training."""

    def __init__(self, folder, inputs, train, dtype):
        self.m = WanTransformer3DModel.from_pretrained(folder, subfolder="transformer",
                                                       torch_dtype=dtype)
        self.m.requires_grad_(False)
        self.inputs, self.train, self.dtype = inputs, train, dtype
        self.lora = {k: v for k, v in inputs.items() if ".lora_" in k}
        if train:
            self.add_lora()

    def add_lora(self):
        rank = next(v.shape[0] for k, v in self.lora.items() if ".lora_A." in k)
        self.m.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA))
        state = dict(self.m.named_parameters())
        for name, value in self.lora.items():
            p = state[name.replace(".weight", ".default.weight")]
            p.data = value.float()  # adapters are trained in fp32

    def step(self):
        i = self.inputs
        x = torch.cat([i["x"], i["y"]]) if "y" in i else i["x"]
        args = dict(hidden_states=x[None].to(self.dtype), timestep=i["t"],
                    encoder_hidden_states=i["text512"][None].to(self.dtype), return_dict=False)
        if "image" in i:
            args["encoder_hidden_states_image"] = i["image"][None].to(self.dtype)
        with torch.set_grad_enabled(self.train):
            v = self.m(**args)[0][0]
            if not self.train:
                self.out = {"v": v.float()}
                return
            loss = torch.mean((v.float() - i["target"]) ** 2)
            for p in self.m.parameters():
                p.grad = None
            loss.backward()
        self.out = {"v": v.detach().float(), "loss": loss.detach().reshape(1)}

    def result(self):
        out = dict(self.out)
        for name, p in self.m.named_parameters():
            if p.grad is not None:
                out["grad." + name.replace(".default.", ".")] = p.grad.float()
        return out


class Vae:
    def __init__(self, folder, inputs, encode, dtype):
        self.m = AutoencoderKLWan.from_pretrained(folder, subfolder="vae", torch_dtype=dtype)
        self.m.requires_grad_(False)
        self.inputs, self.encode, self.dtype = inputs, encode, dtype
        c = self.m.config
        self.mean = torch.tensor(c.latents_mean).view(-1, 1, 1, 1)
        self.std = torch.tensor(c.latents_std).view(-1, 1, 1, 1)

    def step(self):
        with torch.no_grad():
            if self.encode:
                z = self.m.encode(self.inputs["video"][None].to(self.dtype)).latent_dist.mean[0]
                self.out = {"latent": (z.float() - self.mean) / self.std}
            else:
                z = self.inputs["latent"] * self.std + self.mean
                self.out = {"video": self.m.decode(z[None].to(self.dtype)).sample[0].float()}

    def result(self):
        return self.out


class Tower:
    def __init__(self, folder, inputs, text, dtype):
        cls, sub = (UMT5EncoderModel, "text_encoder") if text else (CLIPVisionModel,
                                                                    "image_encoder")
        self.m = cls.from_pretrained(folder, subfolder=sub, torch_dtype=dtype)
        self.m.requires_grad_(False)
        self.inputs, self.text, self.dtype = inputs, text, dtype
        if not text:  # Wan takes what comes before the last layer
            encoder = getattr(self.m, "vision_model", self.m).encoder
            encoder.layers = encoder.layers[:-1]

    def step(self):
        with torch.no_grad():
            if self.text:
                ids = self.inputs["ids"].long()[None]
                self.out = {"states": self.m(ids).last_hidden_state[0].float()}
            else:
                o = self.m(self.inputs["pixels"][None].to(self.dtype), output_hidden_states=True)
                self.out = {"states": o.hidden_states[-1][0].float()}

    def result(self):
        return self.out


def load_libraries(kind):
    """Before the model is read, so that what they take is told apart."""
    global WanTransformer3DModel, LoraConfig, AutoencoderKLWan, CLIPVisionModel, UMT5EncoderModel
    if kind in ("train", "sample"):
        from diffusers import WanTransformer3DModel
    if kind == "train":
        from peft import LoraConfig
    if kind in ("vae-encode", "vae-decode"):
        from diffusers import AutoencoderKLWan
    if kind in ("text", "image"):
        from transformers import CLIPVisionModel, UMT5EncoderModel
    torch.ones(64, 64) @ torch.ones(64, 64)


def make(kind, folder, inputs, dtype):
    if kind in ("train", "sample"):
        return Dit(folder, inputs, kind == "train", dtype)
    if kind in ("vae-encode", "vae-decode"):
        return Vae(folder, inputs, kind == "vae-encode", dtype)
    return Tower(folder, inputs, kind == "text", dtype)


def say(**values):
    print(json.dumps(values), flush=True)


def main():
    kind, mode, threads, folder = sys.argv[1:5]
    torch.set_num_threads(int(threads))
    dtype = torch.bfloat16 if mode in ("bf16", "compile-bf16") else torch.float32
    load_libraries(kind)
    runtime = memory("VmRSS")
    subject = make(kind, folder, load_file(os.path.join(folder, "inputs.safetensors")), dtype)
    if mode.startswith("compile"):
        subject.m = torch.compile(subject.m)
    forget_peak()
    say(runtime=runtime, opened=memory("VmRSS"))
    for line in sys.stdin:
        command = line.strip()
        if command == "step":
            cpu, wall = cpu_now(), time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast"):
                subject.step()
            say(wall=time.perf_counter() - wall, cpu=cpu_now() - cpu)
        elif command == "result":
            save_file({k: v.contiguous() for k, v in subject.result().items()},
                      os.path.join(folder, "torch.safetensors"))
            say(done=True)
        else:
            say(peak=memory("VmHWM"))
            return


main()
