"""Ready-made recipes, for a purpose or with mixed precision: each turns a recipe into another one for a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from glob import escape

from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Checkpoint, Role, TensorInfo

_LAYER = re.compile(r"^(?P<prefix>.*?\.)(?P<number>\d+)\.(?P<part>[^.]+)")
_EIGHT_BIT = SchemeSpec("INT8")
_FOUR_BIT = SchemeSpec("INT4")
SENSITIVE = ("attn.v", "mlp.down")


@dataclass(frozen=True)
class Preset:
    """A named change of a recipe. `apply` is pure; rules that it brings come first."""

    title: str
    help: str  # one line
    apply: Callable[[Checkpoint, Recipe], Recipe]


def only(tensor: str) -> str:
    """The pattern that matches this name and no other."""
    return escape(tensor)


def layer_pattern(checkpoint: Checkpoint, layer: int) -> str | None:
    """The pattern of everything in one layer ("model.layers.0.*"), None where layers are not numbered in the names."""
    for tensor in checkpoint.tensors:
        match = _LAYER.match(tensor.name)
        if match and tensor.layer == layer and int(match["number"]) == layer:
            return f"{escape(match['prefix'])}{layer}.*"
    return None


def role_patterns(checkpoint: Checkpoint, role: Role) -> tuple[str, ...]:
    """Patterns that match every matrix of `role` in any layer, and no matrix of another role.

    One per part of the layer where a part has one role ("model.layers.*.self_attn.*"), else one per name.
    """
    matrices = [t for t in checkpoint.tensors if t.layer is not None and len(t.shape) >= 2]
    roles_of_part: dict[str, set[Role]] = {}
    for tensor in matrices:
        roles_of_part.setdefault(_part(tensor.name), set()).add(tensor.role)
    wanted = [t.name for t in matrices if t.role is role]
    others = [t for t in matrices if t.role is not role]
    ends = [_part(name) if roles_of_part[_part(name)] == {role} else name for name in wanted]
    return tuple(_any_layer(end, others) for end in dict.fromkeys(map(_without_number, ends)))


def _part(name: str) -> str:
    """The name up to the layer's part that the tensor is in, with a dot: "model.layers.7.mlp."."""
    match = _LAYER.match(name)
    return f"{match[0]}." if match and len(match[0]) < len(name) else name


def _without_number(name: str) -> tuple[str, str]:
    """What stands before and after the layer's number; all of a name without one stands before."""
    match = _LAYER.match(name)
    return (name[: match.start("number")], name[match.end("number") :]) if match else (name, "")


def _any_layer(ends: tuple[str, str], others: Iterable[TensorInfo]) -> str:
    """The pattern for every layer of a name, or of all names below a part.

    A glob's star also spans dots: `layer.*.output.*` reaches `layer.0.attention.output.dense`. Where it would reach one
    of `others`, an expression that takes only a number there is used instead.
    """
    before, after = ends
    if not after:
        return escape(before)
    below = "*" if after.endswith(".") else ""
    glob = f"{escape(before)}*{escape(after)}{below}"
    if not any(Rule(glob).matches(tensor) for tensor in others):
        return glob
    return rf"re:^{re.escape(before)}\d+{re.escape(after)}" + ("" if below else "$")


def _with(recipe: Recipe, patterns: Iterable[str | None], scheme: SchemeSpec) -> Recipe:
    new = [Rule(pattern, scheme) for pattern in patterns if pattern]
    named = {rule.pattern for rule in new}
    return replace(recipe, rules=(*new, *(rule for rule in recipe.rules if rule.pattern not in named)))


def _attention_eight(checkpoint: Checkpoint, recipe: Recipe) -> Recipe:
    return _with(replace(recipe, base=_FOUR_BIT), role_patterns(checkpoint, Role.ATTENTION), _EIGHT_BIT)


def _ends_eight(checkpoint: Checkpoint, recipe: Recipe) -> Recipe:
    layers = {tensor.layer for tensor in checkpoint.tensors if tensor.layer is not None}
    ends = sorted({min(layers), max(layers)}) if layers else []
    return _with(recipe, (layer_pattern(checkpoint, layer) for layer in ends), _EIGHT_BIT)


def _sensitive_eight(checkpoint: Checkpoint, recipe: Recipe) -> Recipe:
    matrices = [tensor for tensor in checkpoint.tensors if tensor.layer is not None]
    sensitive = [t for t in matrices if t.module in SENSITIVE]
    others = [t for t in matrices if t.module not in SENSITIVE]
    ends = dict.fromkeys(_without_number(tensor.name) for tensor in sensitive)
    return _with(recipe, (_any_layer(end, others) for end in ends), _EIGHT_BIT)


def _start(scheme_id: str) -> Callable[[Checkpoint, Recipe], Recipe]:
    """A recipe of one precision for everything: what was there before does not matter."""
    return lambda checkpoint, recipe: Recipe(SchemeSpec(scheme_id))


STARTS = (
    Preset(
        "vLLM 4-bit", "GPTQ: rounded against calibration text, in the layout of vLLM's fast kernels.", _start("GPTQ-4")
    ),
    Preset(
        "Ollama, LM Studio, llama.cpp",
        "Q4_K_M: one GGUF file, the usual choice for one's own computer.",
        _start("Q4_K_M"),
    ),
    Preset("transformers on a small GPU", "NF4: no calibration, loads with bitsandbytes.", _start("NF4")),
    Preset("Fine-tune later (QLoRA)", "NF4 with double quantization, as QLoRA trains adapters on.", _start("NF4-DQ")),
    Preset("CPU int8", "8-bit weights, and activations rounded while it runs.", _start("W8A8-dynamic")),
)
"""Whole recipes by what somebody wants to do with the result."""

PRESETS = (
    Preset(
        "Attention 8 bit, MLP 4 bit",
        "Attention is a small part of the weights and pays for its bits.",
        _attention_eight,
    ),
    Preset("First and last layer 8 bit", "The ends of the model are often the most sensitive.", _ends_eight),
    Preset(
        "Value and down projections 8 bit",
        "The two matrices that llama.cpp's K-quant mixes also give more bits.",
        _sensitive_eight,
    ),
)
"""Mixed precision on top of the recipe that is there."""
