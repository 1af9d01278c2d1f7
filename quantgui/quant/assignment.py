"""Applies a recipe to a checkpoint: which tensor gets which scheme, and in words why the others are kept. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping

from quantgui.formats.gguf.blocks import FORMAT as GGUF
from quantgui.quant.gguf_assignment import assign_gguf, gguf_order
from quantgui.quant.registry import build, row, settings
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.schemes.scheme import Scheme
from quantgui.types import Checkpoint, Role, TensorInfo, UserError

WHY_KEPT: Mapping[Role, str] = {
    Role.EMBEDDING: "Embeddings are kept: small gain, large loss.",
    Role.HEAD: "The output head is kept: every token's probabilities depend on it.",
    Role.NORM: "Norms are kept: a few numbers that scale everything.",
    Role.ROUTER: "Routers are kept: they decide which expert works.",
}
"""Roles that the base of a recipe does not touch, unless a rule names them."""

TOWER = re.compile(r"(?:^|\.)(?:vision|visual|image|audio|speech|multi_modal|mm_projector)", re.ASCII)
"""Name parts of the towers that turn pictures and sound into tokens."""


def assign(checkpoint: Checkpoint, recipe: Recipe) -> tuple[Assignment, ...]:
    """One assignment per tensor, in the checkpoint's order; per tensor of the GGUF file where the base is one.

    Raises UserError for unknown schemes and ValueError for a broken pattern.
    """
    if is_gguf(recipe):
        return assign_gguf(checkpoint, gguf_order(checkpoint, recipe, settings(recipe.base)))
    built: dict[int, Scheme | None] = {}

    def scheme_of(spec: SchemeSpec | None) -> Scheme | None:
        if id(spec) not in built:
            built[id(spec)] = None if spec is None else _tensor_scheme(recipe, spec)
        return built[id(spec)]

    base = build(recipe.base)
    result = []
    for tensor in checkpoint.tensors:
        rule = recipe.rule_for(tensor)
        chosen = base if rule is None else scheme_of(rule.scheme)
        result.append(_assign_one(checkpoint, tensor, rule, chosen))
    return tuple(result)


def is_gguf(recipe: Recipe) -> bool:
    """Whether a recipe makes a GGUF file instead of a folder. Raises UserError for an unknown scheme."""
    return row(recipe.base.id).format == GGUF


def _tensor_scheme(recipe: Recipe, spec: SchemeSpec) -> Scheme:
    if row(spec.id).format == GGUF:
        raise UserError(
            f"{spec.id} is a type of GGUF files, and {recipe.base.id} is written as a folder.",
            hint="Choose a GGUF type for the whole model, or another precision for this exception.",
        )
    return build(spec)


def _assign_one(checkpoint: Checkpoint, tensor: TensorInfo, rule: Rule | None, scheme: Scheme | None) -> Assignment:
    if rule is not None and scheme is None:
        return Assignment(tensor, None, f"A rule keeps it: {rule.pattern}")
    assert scheme is not None
    if tensor.dtype.startswith(("I", "U", "BOOL")):
        return Assignment(tensor, None, "Integers are kept: they are positions or counters, not weights.")
    if rule is None and not scheme.whole_model:
        if tensor.role in WHY_KEPT:
            return Assignment(tensor, None, WHY_KEPT[tensor.role])
        if tensor.role is Role.OTHER and TOWER.search(tensor.name):
            return Assignment(
                tensor, None, "Vision and audio towers are kept: they are small, and every answer sees them."
            )
    if len(tensor.shape) < 2 and not scheme.whole_model:  # a rule for a layer's part also matches its biases
        return Assignment(tensor, None, "Biases and other vectors are kept: they are tiny.")
    objection = scheme.storage.objection(scheme, tensor, checkpoint.config)
    if objection:
        return Assignment(tensor, None, f"{scheme.id} cannot hold it: {objection}.")
    return Assignment(tensor, scheme)
