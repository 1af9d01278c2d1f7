from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.checkpoint.config import CODE_KEYS, TIED_BY_DEFAULT, load_config, read_config, without_code
from quantgui.checkpoint.limits import MAX_CONFIG_BYTES
from quantgui.types import ModelConfig, UserError

FACTS = ("hidden_size", "num_layers", "num_heads", "num_kv_heads", "head_dim", "intermediate_size", "vocab_size")

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}

FAMILIES: dict[str, tuple[dict[str, Any], tuple[int | None, ...]]] = {
    "llama": (LLAMA, (4096, 32, 32, 8, 128, 14336, 128256)),
    "stated head_dim": (LLAMA | {"head_dim": 64}, (4096, 32, 32, 8, 64, 14336, 128256)),
    "gpt2": (
        {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_inner": None, "vocab_size": 50257},
        (768, 12, 12, 12, 64, 3072, 50257),
    ),
    "falcon 7b": (
        {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71}
        | {"multi_query": True, "vocab_size": 65024},
        (4544, 32, 71, 1, 64, 18176, 65024),
    ),
    "falcon 40b": (
        {"model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128}
        | {"new_decoder_architecture": True, "num_kv_heads": 8, "vocab_size": 65024},
        (8192, 60, 128, 8, 64, 32768, 65024),
    ),
    "mpt": (
        {"model_type": "mpt", "d_model": 4096, "n_layers": 32, "n_heads": 32, "vocab_size": 50432}
        | {"attn_config": {"kv_n_heads": 4}},
        (4096, 32, 32, 4, 128, 16384, 50432),
    ),
    "chatglm": (
        {"model_type": "chatglm", "hidden_size": 4096, "num_layers": 28, "num_attention_heads": 32}
        | {"multi_query_attention": True, "multi_query_group_num": 2, "kv_channels": 128}
        | {"ffn_hidden_size": 13696, "padded_vocab_size": 65024},
        (4096, 28, 32, 2, 128, 13696, 65024),
    ),
    "latent attention": (
        LLAMA | {"model_type": "deepseek_v3", "head_dim": 64, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64},
        (4096, 32, 32, 8, 192, 14336, 128256),
    ),
    "one size per layer": (
        LLAMA | {"num_key_value_heads": [2, 4, 8], "intermediate_size": [100, 300, 200]},
        (4096, 32, 32, 8, 128, 300, 128256),
    ),
    "nested": (
        {"model_type": "gemma3", "architectures": ["X"], "text_config": LLAMA | {"model_type": "gemma3_text"}},
        (4096, 32, 32, 8, 128, 14336, 128256),
    ),
    "heads that do not divide": (LLAMA | {"num_attention_heads": 33}, (4096, 32, 33, 8, None, 14336, 128256)),
    "nothing stated": ({}, (None,) * 7),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_naming_leads_to_the_same_facts(family: str) -> None:
    data, expected = FAMILIES[family]
    config = read_config(data)
    assert tuple(getattr(config, fact) for fact in FACTS) == expected


@pytest.mark.parametrize("value", [-5, 0, True, "4096", 1e99, 2.5, float("nan"), None, [], {}, ["x"], 2**200])
def test_an_impossible_value_counts_as_not_stated(value: object) -> None:
    assert read_config(LLAMA | {"vocab_size": value}).vocab_size is None


def test_the_language_model_of_a_nested_config_counts() -> None:
    config = read_config({"model_type": "gemma3", "architectures": ["G"], "text_config": {"model_type": "gemma3_text"}})
    assert (config.model_type, config.architecture, config.tied_embeddings) == ("gemma3_text", "G", True)


@pytest.mark.parametrize(
    ("data", "tied"),
    [
        ({"model_type": "llama"}, False),
        ({"model_type": "gemma"}, True),
        ({"model_type": "gemma", "tie_word_embeddings": False}, False),
        ({"model_type": "llama", "tie_word_embeddings": True}, True),
        ({"model_type": "unheard_of"}, False),
    ],
)
def test_tied_embeddings(data: dict[str, Any], tied: bool) -> None:
    assert read_config(data).tied_embeddings is tied


@pytest.mark.slow
def test_the_defaults_for_tied_embeddings_are_those_of_transformers() -> None:
    from transformers import CONFIG_MAPPING  # seconds to import, hence here

    others = {
        "llama",
        "mistral",
        "mixtral",
        "qwen2",
        "qwen3",
        "phi",
        "phi3",
        "gpt_neox",
        "gptj",
        "olmo2",
        "deepseek_v3",
    }
    for model_type in sorted(TIED_BY_DEFAULT | others):
        default = CONFIG_MAPPING[model_type]().tie_word_embeddings
        assert default is (model_type in TIED_BY_DEFAULT), model_type


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq"),
        ({"quantization_config": {"load_in_4bit": True}}, "bitsandbytes"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization": {"bits": 4, "group_size": 64}}, "mlx"),
        ({"quantization_config": None}, None),
        ({}, None),
    ],
)
def test_an_already_quantized_model_is_recognised(settings: dict[str, Any], expected: str | None) -> None:
    assert read_config(LLAMA | settings).quantization == expected


def test_keys_that_run_code_are_removed_at_any_depth() -> None:
    dangerous = dict.fromkeys(CODE_KEYS, "evil.Model")
    data = LLAMA | dangerous | {"text_config": LLAMA | dangerous, "list": [dangerous]}
    clean, removed = without_code(data)
    assert set(removed) == CODE_KEYS
    assert "evil" not in json.dumps(clean)
    assert "evil" not in json.dumps(read_config(data).raw)
    assert "evil" in json.dumps(data), "the argument itself is left alone"


def _write(folder: Path, content: bytes | dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_a_config_with_auto_map_opens_with_a_note(tmp_path: Path) -> None:
    loaded = load_config(_write(tmp_path, LLAMA | {"auto_map": {"AutoModel": "modeling_evil.Evil"}}))
    assert loaded.config.hidden_size == 4096
    (note,) = loaded.notes
    assert "auto_map" in note
    assert "never runs" in note


def test_duplicates_and_infinities_open_with_a_note(tmp_path: Path) -> None:
    loaded = load_config(_write(tmp_path, b'{"hidden_size":1,"hidden_size":64,"time_step_limit":[0.0,Infinity]}'))
    assert loaded.config.hidden_size == 64
    assert loaded.config.raw["time_step_limit"] == [0.0, None]
    assert len(loaded.notes) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not valid JSON"),
        (b"[]", "does not hold a JSON object"),
        (b"{" + b" " * MAX_CONFIG_BYTES + b"}", "never larger than"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested too deeply"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "nested too deeply"),
        (b"\x80\x02pickle", "not UTF-8"),
    ],
)
def test_a_broken_config_is_one_clear_sentence(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        load_config(_write(tmp_path, content))
    assert "config.json" in caught.value.message
    assert caught.value.hint


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
OTHER_KEYS = "n_embd n_head multi_query text_config thinker_config attn_config quantization_config tie_word_embeddings"
KEYS = st.sampled_from([*LLAMA, *OTHER_KEYS.split(), "head_dim", "qk_rope_head_dim", "qk_nope_head_dim", "auto_map"])


@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_object_is_read(data: dict[str, Any]) -> None:
    config = read_config(data)
    assert isinstance(config, ModelConfig)
    assert all(getattr(config, fact) is None or getattr(config, fact) > 0 for fact in FACTS)


def test_what_was_read_can_be_sent_to_another_process(tmp_path: Path) -> None:
    loaded = load_config(_write(tmp_path, b'{"a":1000000000000000019884624838656,"b":NaN,"c":"\xc3\xa9"}'))
    assert msgspec.json.decode(msgspec.json.encode(loaded.config), type=ModelConfig) == loaded.config
