"""The quantization_config and what transformers needs it to say."""

import re

import pytest
from compressed_tensors.quantization import QuantizationScheme

from quantgui.formats.compressed_tensors import config_group, mix_objection, quantization_config
from quantgui.quant.assignment import assign
from quantgui.quant.registry import build
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Checkpoint, ModelConfig, Role, SourceKind, TensorInfo

EXPERTS = tuple(
    TensorInfo(f"model.layers.0.mlp.experts.{i}.up_proj.weight", (64, 128), "BF16", 16384, role=Role.EXPERT)
    for i in range(2)
)
ATTENTION = TensorInfo("model.layers.0.self_attn.q_proj.weight", (128, 128), "BF16", 32768, role=Role.ATTENTION)
HEAD = TensorInfo("embed_out.weight", (96, 128), "BF16", 24576, role=Role.HEAD)


def assigned(recipe: Recipe, *tensors: TensorInfo) -> tuple[Assignment, ...]:
    return assign(Checkpoint("m", SourceKind.CONFIG, "", tensors, ModelConfig("x")), recipe)


@pytest.mark.parametrize(
    ("scheme_id", "rules", "loads"),
    [
        ("INT4", (), True),
        ("FP8", (), True),
        ("INT8", (), False),  # kept, because int8 without groups cannot be joined
        ("INT4", (Rule("*experts.1*", SchemeSpec("INT2")),), False),
        ("INT4", (Rule("*experts.1*"),), False),
        ("INT4", (Rule("*experts*"),), False),
        ("FP8", (Rule("*experts*"),), True),
        ("INT4", (Rule("*attn*", SchemeSpec("INT8")),), True),
        ("FP16", (), True),
    ],
)
def test_experts_load_if_all_have_one_scheme_that_can_be_joined(scheme_id, rules, loads):
    assignments = assigned(Recipe(SchemeSpec(scheme_id), rules), ATTENTION, *EXPERTS)
    assert (mix_objection(assignments) == "") is loads


@pytest.mark.parametrize(
    ("scheme_id", "parameters", "weights", "activations"),
    [
        ("INT4", {}, {"type": "int", "num_bits": 4, "strategy": "group"}, None),
        ("W8A8-dynamic", {}, {"type": "int", "strategy": "channel"}, {"type": "int", "strategy": "token"}),
        ("FP8", {}, {"type": "float", "strategy": "channel"}, {"type": "float", "strategy": "token"}),
        ("FP8", {"activations": "none"}, {"type": "float"}, None),
        (
            "FP8",
            {"granularity": "block"},
            {"strategy": "block", "block_structure": [128, 128]},
            {"strategy": "group", "group_size": 128},
        ),
    ],
)
def test_the_library_reads_weights_and_activations_as_meant(scheme_id, parameters, weights, activations):
    group = config_group(build(SchemeSpec(scheme_id, parameters)), ["Linear"])
    read = QuantizationScheme.model_validate(group).model_dump()
    assert weights.items() <= read["weights"].items()
    if activations is None:
        assert read["input_activations"] is None
    else:
        assert (activations | {"dynamic": True, "num_bits": 8, "symmetric": True}).items() <= read[
            "input_activations"
        ].items()


def test_blocks_are_not_joined_to_experts():
    config = assigned(Recipe(SchemeSpec("FP8", {"granularity": "block"})), *EXPERTS)
    assert all(a.scheme is None and "joins experts" in a.why for a in config)


def test_a_kept_head_is_ignored_under_the_name_that_transformers_gives_it():
    config = quantization_config(assigned(Recipe(SchemeSpec("INT4")), ATTENTION, HEAD))
    assert config["ignore"] == ["embed_out", "lm_head"]


def test_targets_of_a_mix_match_their_module_with_and_without_the_first_part_of_its_name():
    rules = (Rule("*attn*", SchemeSpec("INT8")),)
    groups = quantization_config(assigned(Recipe(SchemeSpec("INT4"), rules), ATTENTION, *EXPERTS))["config_groups"]
    (target,) = groups["group_1"]["targets"]
    pattern = target.removeprefix("re:")
    assert re.match(pattern, "model.layers.0.self_attn.q_proj")
    assert re.match(pattern, "layers.0.self_attn.q_proj")
    assert not re.match(pattern, "model.layers.0.self_attn.q_proj.x")
    assert all("experts" in target for target in groups["group_0"]["targets"])
