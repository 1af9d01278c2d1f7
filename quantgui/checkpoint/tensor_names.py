"""What a tensor is, told from its name: its role, its layer, and a short name inside the layer.

A name is cut in three: what stands before the layer number, the number, and the tail. Tails repeat from layer to layer,
so each is classified once, by the rules in `tensor_name_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from quantgui.checkpoint.tensor_name_rules import LAYER_RULES, MODEL_RULES, STACKS, SUFFIXES, TOWERS, Rule
from quantgui.types import Role

MAX_DOTS = 24
"""Real names have up to 12; a hostile header must not buy seconds of pattern matching with more."""


@dataclass(frozen=True, slots=True)
class TensorName:
    """What a name says. `module` is short and unique inside its layer: "attn.q", "mlp.down bias", "expert 3 · up"."""

    role: Role
    layer: int | None
    module: str


def describe(name: str, ndim: int) -> TensorName:
    """Role, layer and short name of a tensor with `ndim` dimensions. Never fails: an unknown name is Role.OTHER."""
    if name.count(".") > MAX_DOTS:
        return TensorName(Role.OTHER, None, name)
    found = _LAYER.search(name)
    if found is None:
        before, layer, tail = "", None, name
    else:
        before, layer, tail = name[: found.start(1) - 1], int(found[1]), name[found.end() :]
    expert = _EXPERT.search(tail)
    if expert is not None:
        tail = f"{tail[: expert.start(1)]}#{tail[expert.end(1) :]}"
    role, module = _classify(before, tail, layer is not None, ndim)
    if expert is not None:
        module = module.replace("#", expert[1], 1)
    return TensorName(role, layer, module)


_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?|blk|hidden_layers|mtp)\.(\d{1,4})(?:\.|$)")
_EXPERT = re.compile(r"(?:experts?|ffn_(?:gate|up|down))\.(\d{1,6})(?=\.)")


@lru_cache(maxsize=16384)
def _classify(before: str, tail: str, in_layer: bool, ndim: int) -> tuple[Role, str]:
    if in_layer and ndim >= 2 and re.search(r"attn(?:\.attention)?\.bias$", tail):
        return Role.OTHER, _in_stack(before, "attn mask")  # GPT-2 keeps its causal mask under the name of a bias
    full = f"{before}.{tail}" if before else tail
    tower = next((name for name, pattern in TOWERS if pattern.search(full)), "")
    role, module = _match(LAYER_RULES if in_layer else MODEL_RULES, tail, ndim)
    if tower:
        return Role.OTHER, f"{tower} · {module}"
    return role, _in_stack(before, module)


def _in_stack(before: str, module: str) -> str:
    stack = next((name for name, pattern in STACKS if pattern.search(before)), "")
    return f"{stack} · {module}" if stack else module


def _match(rules: Sequence[Rule], tail: str, ndim: int) -> tuple[Role, str]:
    # gpt-oss and GGUF glue the kind to the name: gate_up_proj_blocks, ffn_down_exps, ffn_up_shexp.
    plain = re.sub(r"(?<=_proj)_(blocks|scales|bias)$", r".\1", tail)
    plain = re.sub(r"(ffn_(?:gate_up|gate|up|down))_(?:sh|ch)?exps?(?=\.|$)", r"\1", plain)
    for rule in rules:
        found = rule.pattern.search(plain)
        if found is None or (rule.role is Role.NORM and ndim > 1):
            continue
        role, module = rule.role, rule.module or _words(found[0])
        if role is Role.MLP:
            role, module = _mlp_name(tail, module, ndim)
        elif re.search(r"encoder_attn|crossattention|EncDecAttention|cross_attn", tail):
            module = module.replace("attn.", "cross.")
        elif ".indexer." in tail or "indexer" in found[0]:
            module = module.replace("attn.", "indexer.")
        return role, module + _suffix(plain[found.end() :])
    return Role.OTHER, tail.removesuffix(".weight")


def _mlp_name(tail: str, part: str, ndim: int) -> tuple[Role, str]:
    """Role and name of a feed-forward matrix: which expert it belongs to, if any. Stacked experts have 3 dimensions."""
    if re.search(r"shared?_expert|shared_mlp|residual_mlp|shexp", tail):
        return Role.EXPERT, f"shared expert · {part}"
    if "#" in tail:
        return Role.EXPERT, f"expert # · {part}"
    if re.search(r"experts?(?=\.|$)|_ch?exps(?=\.|$)|_exps(?=\.|$)", tail) or ndim == 3:
        return Role.EXPERT, f"experts · {part}"
    return Role.MLP, f"mlp.{part}"


def _words(component: str) -> str:
    return component.strip(".").replace("_", " ")


def _suffix(rest: str) -> str:
    """The words behind a module: "" for its weight, " bias", " scale", " lora_A"."""
    parts = [part for part in rest.split(".") if part]
    words = [SUFFIXES.get(part, part.removeprefix("weight_")) for part in parts]
    text = " ".join(word for word in words if word)
    return f" {text}" if text else ""
