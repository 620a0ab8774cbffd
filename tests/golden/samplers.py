"""The four samplers, run by the real diffusers schedulers; and unit cases of their schedules."""

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from case import Case


def shifted(u, shift):
    return shift * u / (1 + (shift - 1) * u)


def unipc(steps, shift):
    """UniPC as diffusers configures it for Wan (wan21.md 6.3, item 2)."""
    s = UniPCMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        num_train_timesteps=1000,
        flow_shift=shift,
    )
    s.set_timesteps(steps)
    return s


def unipc_official(steps, shift):
    """Item 1: the diffusers UniPC solver on the official schedule."""
    s = unipc(steps, shift)
    sigmas = shifted(np.linspace(float(np.float32(0.999)), 0, steps + 1)[:-1], shift)
    s.timesteps = torch.from_numpy((sigmas * 1000).astype(np.int64))
    s.sigmas = torch.from_numpy(np.append(sigmas, 0).astype(np.float32))
    return s


def euler(steps, shift):
    """Item 4 (DiffSynth, LoRAEdit): FlowMatchEuler on unshifted sigmas 1 - i/N."""
    s = FlowMatchEulerDiscreteScheduler(shift=shift)
    s.set_timesteps(sigmas=[1 - i / steps for i in range(steps)])
    return s


def euler_diffusers(steps, shift):
    """Item 3: FlowMatchEuler with its own schedule."""
    s = FlowMatchEulerDiscreteScheduler(shift=shift)
    s.set_timesteps(steps)
    return s


SAMPLERS = {
    "unipc": unipc,
    "unipc-official": unipc_official,
    "euler": euler,
    "euler-diffusers": euler_diffusers,
}


def run(scheduler, x, velocity):
    """States after each step under velocity(x, t)."""
    states = []
    for t in scheduler.timesteps:
        x = scheduler.step(velocity(x, t.float().reshape(1))[None], t, x[None], return_dict=False)[
            0
        ][0]
        states.append(x)
    return torch.stack(states)


def toy_velocity(x, t):
    return torch.sin(1.3 * x) + 0.3 * x + 0.001 * t


GRID = [(4, 3.0), (10, 5.0), (30, 5.0), (40, 3.0), (7, 1.0), (2, 8.0)]
CASES = {
    f"schedule_{s.replace('-', '_')}_{n}_{shift:g}": (s, n, shift)
    for s in SAMPLERS
    for n, shift in GRID
}


def make(name):
    sampler, steps, shift = CASES[name]
    case = Case(
        name,
        "schedule",
        "the diffusers scheduler",
        args={"sampler": sampler, "steps": steps, "shift": shift},
    )
    scheduler = SAMPLERS[sampler](steps, shift)
    case.expect("sigmas", scheduler.sigmas, 1e-5)
    case.expect("timesteps", scheduler.timesteps.float(), 1e-5)
    case.expect(
        "trajectory", run(scheduler, case.values("x", [0.5, -1.25, 2.0]), toy_velocity), 1e-5
    )
    return case
