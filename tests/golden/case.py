"""One golden case: its JSON description and the safetensors file with its expected outputs."""

import json
from pathlib import Path

import diffusers
import torch
import transformers
from safetensors.torch import save_file

from fill import fill, fill_by_rules

HERE = Path(__file__).parent / "cases"
VERSIONS = (
    f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, "
    f"torch {torch.__version__.split('+')[0]}"
)


def plain_config(config):
    """A model config as plain JSON: without private keys of the library."""
    return json.loads(
        json.dumps({k: v for k, v in dict(config).items() if k != "_use_default_values"})
    )


class Case:
    """Collects models, inputs and expectations; `write` stores them."""

    def __init__(self, name, component, source, layout="diffusers", label=None, args=None):
        self.name = name
        self.doc = {"name": name, "component": component, "layout": layout}
        if label:
            self.doc["label"] = label
        self.doc.update(
            {
                "config": {},
                "fill": {},
                "weights": {},
                "inputs": {},
                "args": args or {},
                "expect": {},
            }
        )
        self.doc["source"] = f"{source}; {VERSIONS}, float32"
        self.tensors = {}

    def model(self, key, config, rules, module, entries=None):
        """Fill a module's weights by name; `entries` overrides names (see original.py)."""
        self.doc["config"][key] = plain_config(config)
        self.doc["fill"][key] = rules
        self.doc["weights"][key] = fill_module(module, rules, entries)
        return module

    def config(self, key, config):
        """A component folder that has a config but no weights (the scheduler)."""
        self.doc["config"][key] = plain_config(config)

    def filled(self, name, shape, scale=1.0, off=0.0, rule_name=None):
        """An input that the fill rule makes."""
        rule_name = rule_name or f"input.{name}"
        self.doc["inputs"][name] = {
            "shape": list(shape),
            "fill": rule_name,
            "scale": scale,
            "off": off,
        }
        return fill(rule_name, shape, scale, off)

    def values(self, name, values, dtype=None):
        """An input whose values stand in the JSON file."""
        self.doc["inputs"][name] = {"shape": [len(values)], "values": list(values)}
        if dtype:
            self.doc["inputs"][name]["dtype"] = dtype
        return torch.tensor(values, dtype=torch.int64 if dtype else torch.float32)

    def stored(self, name, tensor):
        """An input stored in the case's safetensors file under its own name."""
        self.doc["inputs"][name] = {"shape": list(tensor.shape), "golden": name}
        self.tensors[name] = tensor

    def expect(self, name, tensor, tol):
        """A golden output, compared by relative L2 error."""
        self.doc["expect"][name] = {"tol": tol}
        self.tensors[name] = tensor

    def expect_digest(self, name, tensor, indices, tol):
        """A golden output too large to store: sum, sum of squares and some elements."""
        t = tensor.detach().double()
        at = [[list(i), float(t[tuple(i)])] for i in indices]
        self.doc["expect"][name] = {
            "sum": float(t.sum()),
            "sumsq": float((t * t).sum()),
            "at": at,
            "tol": tol,
        }

    def write(self):
        """Write NAME.json and, when there are tensors, NAME.safetensors."""
        HERE.mkdir(exist_ok=True)
        text = json.dumps(self.doc, ensure_ascii=False, separators=(",", ":"))
        for key in ("component", "config", "fill", "weights", "inputs", "args", "expect", "source"):
            text = text.replace(f',"{key}":', f',\n"{key}":', 1)
        (HERE / f"{self.name}.json").write_text(text + "\n")
        tensors = {k: v.detach().float().contiguous().clone() for k, v in self.tensors.items()}
        if tensors:
            save_file(tensors, HERE / f"{self.name}.safetensors")
        return tensors


def fill_module(module, rules, entries=None):
    """Fill a module in place; returns {weight name: shape} as they stand in the model files."""
    state = module.state_dict()
    if entries is None:
        entries = [
            (k, list(v.shape), None)
            for k, v in state.items()
            if not k.endswith("embed_tokens.weight")
        ]
    seen = set()
    with torch.no_grad():
        for name, shape, places in entries:
            data = fill_by_rules(name, shape, rules)
            for target, pick in places or [(name, None)]:
                part = data if pick is None else pick(data)
                state[target].copy_(part.reshape(state[target].shape))
                seen.add(target)
    missing = {k for k in state if not k.endswith("embed_tokens.weight")} - seen
    assert not missing, f"weights not filled: {sorted(missing)}"
    return {name: list(shape) for name, shape, _ in entries}
