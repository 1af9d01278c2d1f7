"""Presets reach exactly the tensors they name, whatever an architecture calls its layers."""

from __future__ import annotations

import pytest

from quantgui.quant.registry import build
from quantgui.schemes.presets import PRESETS, STARTS, layer_pattern, only, role_patterns
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Checkpoint, Role, SourceKind, TensorInfo

MIXED_PARTS = (("attn.q", Role.ATTENTION), ("attn.o", Role.ATTENTION), ("mlp.up", Role.MLP), ("mlp.down", Role.MLP))
NAMES = {
    "llama": ("model.layers.{}.", ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")),
    "bert": (
        "encoder.layer.{}.",
        ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense"),
    ),
    "flat": ("blk.{}.", ("attn_q", "attn_output", "ffn_up", "ffn_down")),
    "shared part": ("h.{}.", ("mix.q", "mix.o", "mix.up", "mix.down")),
    "brackets": ("a[0].{}.", ("at[t].q", "at[t].o", "ml?.up", "ml?.down")),
}


def checkpoint(family: str, layers: int = 12) -> Checkpoint:
    tensors = [TensorInfo("embed.weight", (96, 64), "F32", 24576, role=Role.EMBEDDING)]
    for layer in range(layers):
        prefix, names = NAMES[family]
        for name, (module, role) in zip(names, MIXED_PARTS, strict=True):
            full = f"{prefix.format(layer)}{name}.weight"
            tensors.append(TensorInfo(full, (64, 64), "F32", 16384, role=role, layer=layer, module=module))
        tensors.append(TensorInfo(f"norm.{layer}.weight", (64,), "F32", 256, role=Role.NORM, layer=layer))
    return Checkpoint("m", SourceKind.FOLDER, "/m", tuple(tensors))


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("role", [Role.ATTENTION, Role.MLP])
def test_role_patterns_match_all_matrices_of_the_role_and_no_other(family, role):
    model = checkpoint(family)
    rules = [Rule(pattern) for pattern in role_patterns(model, role)]
    matched = {t.name for t in model.tensors if len(t.shape) == 2 and any(rule.matches(t) for rule in rules)}
    assert matched == {t.name for t in model.tensors if t.role is role}
    assert len(rules) <= 2


@pytest.mark.parametrize("family", NAMES)
def test_a_layer_pattern_does_not_reach_layers_with_the_same_first_digit(family):
    model = checkpoint(family)
    pattern = layer_pattern(model, 1)
    assert pattern is not None
    reached = {t.layer for t in model.tensors if Rule(pattern).matches(t)}
    assert reached == {1}


def test_the_pattern_of_one_tensor_matches_it_alone():
    name = "a[0].*.b?.weight"
    tensors = [TensorInfo(n, (2, 2), "F32", 16) for n in (name, "a0.x.bc.weight", "a[0].x.b?.weight")]
    assert [t.name for t in tensors if Rule(only(name)).matches(t)] == [name]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.title)
def test_applying_a_preset_twice_changes_nothing_more(preset):
    model = checkpoint("llama")
    once = preset.apply(model, Recipe(SchemeSpec("INT4")))
    assert once.rules
    assert preset.apply(model, once) == once


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.title)
def test_a_preset_leaves_a_model_without_layers_alone(preset):
    model = Checkpoint("m", SourceKind.SAFETENSORS, "/m", (TensorInfo("w", (2, 2), "F32", 16),))
    assert preset.apply(model, Recipe(SchemeSpec("INT4"))).rules == ()


def test_presets_come_before_rules_that_were_there():
    model = checkpoint("llama")
    before = Rule("*", None)
    recipe = PRESETS[1].apply(model, Recipe(SchemeSpec("INT4"), (before,)))
    assert recipe.rules[-1] == before
    assert recipe.rule_for(model.tensors[1]) is not before


def test_value_and_down_projections_are_all_that_the_third_preset_reaches():
    model = checkpoint("bert")
    recipe = PRESETS[2].apply(model, Recipe(SchemeSpec("INT4")))
    reached = {tensor.module for tensor in model.tensors if recipe.rule_for(tensor)}
    assert reached == {"mlp.down"}


@pytest.mark.parametrize("preset", STARTS, ids=lambda preset: preset.title)
def test_a_recipe_for_a_purpose_is_one_existing_precision(preset):
    made = preset.apply(checkpoint("llama"), Recipe(SchemeSpec("INT4"), (Rule("*", None),)))
    assert made.rules == ()
    assert build(made.base).id == made.base.id
