from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.fit.weights import WeightBytes, active_bytes, recipe_weights
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Role


@cache
def bf16(model: str) -> WeightBytes:
    return recipe_weights(find_entry(model).checkpoint(), Recipe(SchemeSpec("BF16")))


@cache
def q4(model: str) -> WeightBytes:
    return next(row for row in gguf_weights(find_entry(model).checkpoint()) if row.scheme_id == "Q4_K_M")


MODELS = ["meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-4B", "mistralai/Mixtral-8x7B-v0.1", "gemma-3-27b-it"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weights_of", [bf16, q4])
def test_roles_add_up_and_layers_lie_within(model: str, weights_of: Callable[[str], WeightBytes]) -> None:
    weights = weights_of(model)
    config = find_entry(model).config
    assert sum(weights.role_bytes.values()) == weights.nbytes
    assert len(weights.layer_bytes) == config.num_layers
    assert 0.7 * weights.nbytes < sum(weights.layer_bytes) < weights.nbytes
    for layer, experts in zip(weights.layer_bytes, weights.expert_layer_bytes, strict=True):
        assert 0 <= experts <= layer
    assert 0 < active_bytes(weights) <= weights.nbytes


def test_a_token_reads_all_but_the_embedding() -> None:
    weights = bf16("meta-llama/Llama-3.1-8B-Instruct")
    assert weights.nbytes - active_bytes(weights) == 2 * 128_256 * 4096 == weights.role_bytes[Role.EMBEDDING]


def test_a_tied_embedding_is_read_as_the_head() -> None:
    for weights in (bf16("Qwen/Qwen3-4B"), q4("Qwen/Qwen3-4B")):
        assert active_bytes(weights) == weights.nbytes


def test_of_a_mixture_only_the_experts_used_are_read() -> None:
    """Mixtral: 2 of 8, 12.9 billion of 46.7 billion parameters are active."""
    weights = bf16("mistralai/Mixtral-8x7B-v0.1")
    assert weights.split.expert_share == 2 / 8
    assert active_bytes(weights) / 2 == pytest.approx(12.9e9 - 32_000 * 4096, rel=0.005)


def test_shared_experts_are_not_routed() -> None:
    weights = q4("deepseek-ai/DeepSeek-V2-Lite")
    assert weights.split.expert_share == 6 / 64
    assert sum(weights.expert_layer_bytes) < weights.role_bytes[Role.EXPERT]


def test_embeddings_for_every_layer_are_looked_up() -> None:
    config = {"model_type": "gemma4_text", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 6}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000}
    checkpoint = checkpoint_from_config("", read_config({**config, "hidden_size_per_layer_input": 16}))
    weights = recipe_weights(checkpoint, Recipe(SchemeSpec("BF16")))
    assert weights.split.lookup_bytes == 2 * 1000 * 6 * 16
