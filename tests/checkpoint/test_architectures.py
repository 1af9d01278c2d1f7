from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.architectures import (
    assumed_model_type,
    attention_layers,
    extra_tensors,
    families,
    is_supported,
    state_layers,
    tensor_shapes,
)
from quantgui.checkpoint.catalogue import CatalogueEntry, catalogue
from quantgui.checkpoint.config import read_config
from quantgui.types import ModelConfig, UserError

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
}
PUBLISHED = [entry for entry in catalogue() if entry.supported and entry.parameters]


@pytest.mark.parametrize("entry", PUBLISHED, ids=[entry.id for entry in PUBLISHED])
def test_published_parameter_counts_are_exact(entry: CatalogueEntry) -> None:
    assert entry.checkpoint().parameters == entry.parameters


def test_every_published_count_is_covered() -> None:
    assert [entry.id for entry in catalogue() if entry.parameters and not entry.supported] == []


@pytest.mark.parametrize(
    ("model_id", "parameters"),
    [
        ("deepseek-ai/DeepSeek-R1", 671_026_419_200),
        ("openai/gpt-oss-20b", 20_914_757_184),
        ("openai/gpt-oss-120b", 116_829_156_672),
        ("google/gemma-3-27b-it", 27_009_002_240),
        ("tiiuae/falcon-7b-instruct", 7_217_189_760),
        ("stabilityai/stablelm-2-zephyr-1_6b", 1_644_515_328),
        ("bigcode/starcoder2-7b", 7_173_923_840),
        ("EleutherAI/pythia-2.8b", 2_775_208_960),
    ],
)
def test_counts_stated_elsewhere(model_id: str, parameters: int) -> None:
    """Model cards, runtimes' logs and the makers' reports, for models whose index states no plain total."""
    entry = next(entry for entry in catalogue() if entry.id == model_id)
    assert entry.checkpoint().parameters == parameters


def test_deepseek_v32_differs_from_v3_by_its_indexers_alone() -> None:
    v3, v32 = (_parameters(_entry(f"deepseek-ai/DeepSeek-V3{version}")) for version in ("", ".2"))
    indexer = 64 * 128 * 1536 + 128 * 7168 + 2 * 128 + 64 * 7168
    assert v32 - v3 == 61 * indexer


@pytest.mark.parametrize("model_type", sorted(families()))
def test_a_config_without_sizes_is_one_clear_sentence(model_type: str) -> None:
    with pytest.raises(UserError, match="does not state"):
        tensor_shapes(read_config({"model_type": model_type}))


def test_an_unknown_architecture_says_so() -> None:
    config = read_config({**LLAMA, "model_type": "mystery"})
    assert not is_supported(config)
    assert attention_layers(config) is None
    with pytest.raises(UserError, match="mystery"):
        tensor_shapes(config)


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="do not divide"):
        tensor_shapes(read_config({**LLAMA, "num_key_value_heads": 3}))
    with pytest.raises(UserError, match="not divisible"):
        tensor_shapes(read_config({**LLAMA, "hidden_size": 65}))


def test_more_layers_and_tensors_than_any_model_has_are_refused() -> None:
    endless = read_config({**LLAMA, "num_hidden_layers": 2**31})
    for question in (tensor_shapes, attention_layers):
        with pytest.raises(UserError, match="more than any model has"):
            question(endless)
    crowded = {**LLAMA, "model_type": "mixtral", "num_hidden_layers": 10_000, "num_local_experts": 1000}
    with pytest.raises(UserError, match="more than 500,000 tensors"):
        tensor_shapes(read_config(crowded))


def test_names_are_unique_in_every_catalogue_model() -> None:
    seen = {entry.config.model_type: entry for entry in catalogue() if entry.supported}
    for entry in seen.values():
        names = [name for name, _ in tensor_shapes(entry.config)]
        assert len(names) == len(set(names)), entry.id


def test_the_language_model_of_a_nested_config_is_read() -> None:
    nested = {"model_type": "llava", "text_config": LLAMA, "vision_config": {"hidden_size": 1}}
    assert tensor_shapes(read_config(nested)) == tensor_shapes(read_config(LLAMA))


@pytest.mark.parametrize("model_type", ["llama", "qwen3"])
def test_a_config_without_json_is_read_by_its_facts(model_type: str) -> None:
    """What a GGUF header states arrives under the project's own names only."""
    facts = ModelConfig(
        model_type,
        hidden_size=64,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        intermediate_size=128,
        vocab_size=96,
        raw={"general.architecture": model_type},
    )
    layers = attention_layers(facts)
    assert layers is not None
    assert [layer.elements_per_token for layer in layers] == [2 * 2 * 16] * 2


@settings(deadline=None)
@given(
    key=st.sampled_from([*LLAMA, "head_dim", "attention_bias", "layer_types", "sliding_window", "tie_word_embeddings"]),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=3)
    ),
    model_type=st.sampled_from(sorted(families())),
)
def test_nonsense_ends_in_a_user_error_or_in_positive_shapes(key: str, value: object, model_type: str) -> None:
    config = read_config({**LLAMA, "model_type": model_type, key: value})
    try:
        shapes = (*tensor_shapes(config), *extra_tensors(config))
        states = state_layers(config)
        layers = attention_layers(config)
    except UserError:
        return
    assert all(size > 0 for _, shape in shapes for size in shape)
    assert all(state.elements > 0 for state in states)
    assert layers is None or all(layer.elements_per_token > 0 for layer in layers)


@pytest.mark.parametrize(
    ("unnamed", "read_as"),
    [
        ({**LLAMA, "architectures": ["Qwen3ForCausalLM"]}, "qwen3"),
        ({**LLAMA, "architectures": ["GPTNeoXForCausalLM"]}, "gpt_neox"),
        ({**LLAMA, "rms_norm_eps": 1e-5}, "llama"),
        ({"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 96}, "gpt2"),
    ],
)
def test_a_config_without_a_model_type_is_read_by_its_class_or_its_keys(unnamed: dict[str, Any], read_as: str) -> None:
    unnamed = {key: value for key, value in unnamed.items() if key != "model_type"}
    config = read_config(unnamed)
    assert assumed_model_type(config) == read_as
    assert tensor_shapes(config) == tensor_shapes(read_config({**unnamed, "model_type": read_as}))


@pytest.mark.parametrize("key", ["num_experts", "linear_num_key_heads", "ssm_state_size"])
def test_nothing_is_assumed_of_a_config_with_unusual_keys(key: str) -> None:
    unnamed = {name: value for name, value in LLAMA.items() if name != "model_type"}
    with pytest.raises(UserError, match="without a model_type"):
        tensor_shapes(read_config({**unnamed, "rms_norm_eps": 1e-5, key: 4}))


def test_layers_of_nemotron_nas_are_as_wide_as_their_blocks_say() -> None:
    attention, nothing = {"n_heads_in_group": 2, "no_op": False}, {"no_op": True}
    blocks = [{"attention": attention, "ffn": {"ffn_mult": 1.3125}}, {"attention": nothing, "ffn": nothing}]
    config = read_config({**LLAMA, "model_type": "nemotron-nas", "hidden_size": 256, "block_configs": blocks})
    shapes = dict(tensor_shapes(config))
    assert shapes["model.layers.0.self_attn.k_proj.weight"] == (2 * 64, 256)
    assert shapes["model.layers.0.mlp.up_proj.weight"] == (256, 256)
    assert not any(name.startswith("model.layers.1.") for name in shapes)
    layers = attention_layers(config)
    assert layers is not None
    assert [layer.elements_per_token for layer in layers] == [2 * 2 * 64]


HYBRIDS = {entry.config.model_type: entry for entry in catalogue() if entry.supported and state_layers(entry.config)}


@pytest.mark.parametrize("model_type", sorted(HYBRIDS))
def test_layers_without_attention_keep_a_state_and_no_tokens(model_type: str) -> None:
    config = HYBRIDS[model_type].config
    layers, states = attention_layers(config), state_layers(config)
    assert layers is not None
    assert 0 < len(layers) < len(states)
    assert len(layers) + len(states) <= (config.num_layers or 0)
    assert all(state.elements > 0 for state in states)


def test_sparse_attention_keeps_an_index_beside_the_latent() -> None:
    layers = attention_layers(_entry("zai-org/GLM-5").config)
    assert layers is not None
    assert {(layer.elements_per_token, layer.index_elements) for layer in layers} == {(512 + 64, 128)}


def test_shared_layers_keep_nothing() -> None:
    config = {
        **LLAMA,
        "model_type": "gemma4_text",
        "num_hidden_layers": 12,
        "num_kv_shared_layers": 5,
        "sliding_window": 32,
    }
    layers = attention_layers(read_config(config))
    assert layers is not None
    assert [layer.window for layer in layers] == [32] * 5 + [None] + [32]


def test_the_outer_config_says_whether_the_head_is_tied() -> None:
    nested = {
        "model_type": "llava",
        "tie_word_embeddings": True,
        "text_config": {**LLAMA, "tie_word_embeddings": False},
    }
    assert "lm_head.weight" not in dict(tensor_shapes(read_config(nested)))


def _entry(model_id: str) -> CatalogueEntry:
    return next(entry for entry in catalogue() if entry.id == model_id)


def _parameters(entry: CatalogueEntry) -> int:
    return sum(math.prod(shape) for _, shape in tensor_shapes(entry.config))
