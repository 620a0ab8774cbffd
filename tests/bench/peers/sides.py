"""The programs that race. Each is a process that makes a step when it is told to, so that only one
computes at a time; it says what the step took, and at its end what it held in memory."""
import json
import os
import subprocess
import sys

import models
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))


class Side:
    """label and mode name it; precision: the race that it is in. runtime, opened: bytes resident
    before the model was read, and before the first step; peak: most during the steps."""

    def __init__(self, label, mode, precision, command, threads, log):
        self.label, self.mode, self.precision = label, mode, precision
        self.wall, self.cpu = [], []
        self.runtime = self.opened = self.peak = 0
        self.log = open(log, "w+")
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  stderr=self.log, env=dict(os.environ, OMP_NUM_THREADS=threads))

    @property
    def name(self):
        return f"{self.label} {self.mode}"

    def read(self):
        line = self.p.stdout.readline()
        if line:
            return line
        self.p.kill()
        rc = self.p.wait()
        self.log.seek(0)
        raise RuntimeError(f"{self.name} ended ({rc}): {self.log.read()[-1500:].strip()}")

    def ask(self, command):
        try:
            self.p.stdin.write(command + "\n")
            self.p.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, as read() will say
        return self.read()

    def step(self, timed=True):
        wall, cpu = self.take()
        if timed:
            self.wall.append(wall)
            self.cpu.append(cpu)
        return wall, cpu

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        self.log.close()


class Peer(Side):
    """torch_side.py, and sdcpp_side, which speaks as it does."""

    def __init__(self, label, mode, precision, command, threads, folder):
        super().__init__(label, mode, precision, command, threads,
                         os.path.join(folder, f"{label}-{mode}.log"))

    def open(self):
        start = json.loads(self.read())
        self.opened, self.runtime = start["opened"], start.get("runtime", 0)

    def take(self):
        r = json.loads(self.ask("step"))
        return r["wall"], r["cpu"]

    def close(self):
        self.peak = json.loads(self.ask("quit"))["peak"]
        self.p.wait()


class Torch(Peer):
    def __init__(self, kind, mode, threads, folder):
        super().__init__("torch", mode, "fp32" if mode.endswith("fp32") else "bf16",
                         [sys.executable, os.path.join(HERE, "torch_side.py"), kind, mode,
                          str(threads), folder], str(threads), folder)
        self.folder = folder

    def result(self):
        self.ask("result")
        return load_file(os.path.join(self.folder, "torch.safetensors"))


class Sdcpp(Peer):
    """stable-diffusion.cpp with its fused attention, and weights of fp32 or bf16."""

    def __init__(self, program, mode, case, threads, folder):
        weights = models.sdcpp(folder, mode)
        f, h, w = case.shape
        shape = [*case.dit, f, 2 * h, 2 * w]
        super().__init__("sd.cpp", mode, mode, [program, folder, weights, str(threads), "1",
                                                *map(str, shape)], str(threads), folder)
        self.folder, self.shape = folder, (16, f, 2 * h, 2 * w)

    def result(self):
        self.ask("result")
        return {"v": models.read_floats(os.path.join(self.folder, "sdcpp.bin"), self.shape)}


class Own(Side):
    """reshoot bench step or tower, paced."""

    def __init__(self, program, case, precision, threads, folder, rounds):
        bench = ["--threads", str(threads), "--precision", precision, "--paced", "--json"]
        if case.kind in ("train", "sample"):
            command = [program, "bench", "step", "--model", folder, "--pass", case.kind, "--grid",
                       ",".join(map(str, case.shape)), "--rank", str(models.RANK), "--steps",
                       str(rounds), *bench]
        else:
            f, h, w = case.shape or (9, 112, 208)
            command = [program, "bench", "tower", folder, "--parts", case.kind, "--frames", str(f),
                       "--height", str(h), "--width", str(w), "--runs", str(rounds), *bench]
        super().__init__("reshoot", precision, precision, command, str(threads),
                         os.path.join(folder, f"reshoot-{precision}.log"))
        self.program, self.kind, self.threads, self.folder = program, case.kind, threads, folder

    def open(self):
        pass  # it waits for the first line

    def take(self):
        word, wall, cpu = self.ask("step").split()
        assert word == "step", word
        return float(wall), float(cpu)

    def close(self):
        self.report = json.loads(self.p.stdout.read())
        r = self.report["results"][0]
        self.peak, self.opened, self.runtime = (r[k + "_bytes"] for k in ("peak", "opened", "start"))
        if self.p.wait() != 0:
            raise RuntimeError(f"{self.name}: exit code {self.p.returncode}")

    def result(self):
        """From a process of its own, with the inputs of the other sides."""
        component = {"train": "dit-grad", "sample": "dit"}.get(self.kind, self.kind)
        inputs = load_file(os.path.join(self.folder, "inputs.safetensors"))
        if self.kind == "sample":
            inputs = {k: v for k, v in inputs.items() if ".lora_" not in k}
        given = os.path.join(self.folder, "probe.safetensors")
        out = os.path.join(self.folder, "reshoot.safetensors")
        save_file(inputs, given)
        subprocess.run([self.program, "probe", self.folder, "--component", component, "--in", given,
                        "--out", out, "--threads", str(self.threads), "--precision", self.mode],
                       check=True, capture_output=True)
        result = load_file(out)
        if "video_raw" in result:
            result["video"] = result["video_raw"].clamp(-1, 1)
        return result
