"""Modules stand in the order in which data flows through them, whatever order a file lists them in."""

from __future__ import annotations

import random

import pytest

from quantgui.checkpoint.catalogue import find_entry
from quantgui.checkpoint.resolve import resolve
from quantgui.module_order import place, place_of

LLAMA = ["attn norm", "attn.q", "attn.k", "attn.v", "attn.o", "post-attn norm", "mlp.gate", "mlp.up", "mlp.down"]
LATENT = ["attn.q_a", "q_a norm", "attn.q_b", "attn.kv_a", "kv_a norm", "attn.kv_b", "attn.o", "router"]
EXPERTS = [
    "router",
    "shared expert · gate",
    "shared expert · down",
    "expert 2 · gate",
    "expert 2 · down",
    "expert 10 · up",
]


@pytest.mark.parametrize("modules", [LLAMA, LATENT, EXPERTS, ["ssm.in", "ssm.conv", "ssm.out", "mlp.up", "oddity"]])
def test_a_layer_is_in_the_order_of_its_flow(modules: list[str]) -> None:
    shuffled = random.Random(1).sample(modules, len(modules))
    assert sorted(shuffled, key=place) == modules


def test_a_bias_stands_behind_its_weight() -> None:
    assert sorted(["attn.k", "attn.q bias", "attn.q"], key=place) == ["attn.q", "attn.q bias", "attn.k"]


def test_a_model_begins_with_its_embedding_and_ends_with_its_head() -> None:
    tensors = sorted(find_entry("meta-llama/Llama-3.1-70B-Instruct").checkpoint().tensors, key=place_of)
    assert [t.module for t in tensors[:2]] == ["embed", "attn norm"]
    assert [t.module for t in tensors[-2:]] == ["final norm", "head"]


def test_layers_follow_each_other() -> None:
    layers = [t.layer for t in sorted(resolve("demo").tensors, key=place_of) if t.layer is not None]
    assert layers == sorted(layers)
