from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import catalogue, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.fit.kv_cache import KvCache, kv_cache
from quantgui.fit.settings import KV_TYPES, FitSettings
from quantgui.types import ModelConfig

MIB = 2**20
GEMMA3: dict[str, Any] = {
    "model_type": "gemma3_text",
    "num_hidden_layers": 12,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "sliding_window": 8,
}


def cache_of(config: ModelConfig) -> KvCache:
    cache, note = kv_cache(config)
    assert cache is not None, note
    return cache


@pytest.mark.parametrize(
    ("model_id", "context", "mebibytes"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8192, 1024),
        ("Qwen/Qwen3-30B-A3B", 32768, 3072),
        ("deepseek-ai/DeepSeek-R1", 16384, 1098),
    ],
)
def test_the_figures_in_runtimes_logs(model_id: str, context: int, mebibytes: int) -> None:
    """llama.cpp prints these for an f16 cache; DeepSeek's is latent, 70,272 bytes a token."""
    assert cache_of(find_entry(model_id).config).nbytes(FitSettings(context)) == mebibytes * MIB


def test_bytes_of_one_token() -> None:
    assert cache_of(find_entry("Qwen2.5-0.5B-Instruct").config).nbytes(FitSettings(1)) == 12_288


def test_quantized_caches_count_their_scales() -> None:
    """MiB for 8,192 tokens of Llama 3.1 8B; llama.cpp's blocks of 32 values take 34, 24, 22, 20 and 18 bytes."""
    cache = cache_of(find_entry("Llama-3.1-8B-Instruct").config)
    sizes = {name: cache.nbytes(FitSettings(8192, kv_dtype=name)) / MIB for name in KV_TYPES}
    expected = {"f32": 2048, "f16": 1024, "bf16": 1024, "fp8": 512}
    expected |= {"q8_0": 544, "q5_1": 384, "q5_0": 352, "q4_1": 320, "q4_0": 288}
    assert sizes == expected


def test_sliding_layers_stop_at_their_window() -> None:
    cache = cache_of(read_config(GEMMA3))
    per_token = 2 * 2 * 16 * 2
    assert cache.nbytes(FitSettings(8)) == 12 * 8 * per_token, "within the window all layers keep everything"
    assert cache.nbytes(FitSettings(80)) == (2 * 80 + 10 * 8) * per_token, "beyond it two of twelve do"


def test_stated_layer_types_win_over_the_pattern() -> None:
    kinds = ["full_attention"] * 11 + ["sliding_attention"]
    cache = cache_of(read_config({**GEMMA3, "layer_types": kinds}))
    assert cache.nbytes(FitSettings(80)) == (11 * 80 + 8) * 128


def test_qwen_slides_only_when_told_to() -> None:
    base = {**GEMMA3, "model_type": "qwen2", "max_window_layers": 10}
    off, on = (cache_of(read_config({**base, "use_sliding_window": flag})) for flag in (False, True))
    assert off.nbytes(FitSettings(80)) == 12 * 80 * 128
    assert on.nbytes(FitSettings(80)) == (10 * 80 + 2 * 8) * 128


def test_an_encoder_keeps_nothing() -> None:
    config = read_config({"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12})
    assert cache_of(config).nbytes(FitSettings()) == 0


@pytest.mark.parametrize(
    "config",
    [
        None,
        read_config({"model_type": "mystery", "num_hidden_layers": 2}),
        read_config({**GEMMA3, "layer_types": ["linear_attention"] * 12}),
        read_config({**GEMMA3, "num_key_value_heads": 3}),
    ],
)
def test_what_is_not_known_is_none_with_a_reason(config: ModelConfig | None) -> None:
    cache, note = kv_cache(config)
    assert cache is None
    assert "not estimated" in note


@pytest.mark.parametrize(
    ("architecture", "keys", "bytes_per_token"),
    [
        ("llama", {}, 2 * 2 * 16 * 2),
        ("qwen3moe", {}, 2 * 2 * 16 * 2),
        ("deepseek2", {"attention.kv_lora_rank": 512, "rope.dimension_count": 64}, 576 * 2),
    ],
)
def test_the_facts_of_a_gguf_header_are_enough(architecture: str, keys: dict[str, int], bytes_per_token: int) -> None:
    raw = {"general.architecture": architecture} | {f"{architecture}.{key}": value for key, value in keys.items()}
    config = ModelConfig(architecture, num_layers=3, num_heads=4, num_kv_heads=2, head_dim=16, raw=raw)
    assert cache_of(config).nbytes(FitSettings(1)) == 3 * bytes_per_token


def test_the_sliding_window_of_a_gguf_header_counts() -> None:
    raw = {"general.architecture": "gemma3", "gemma3.attention.sliding_window": 1024}
    config = ModelConfig("gemma3", num_layers=12, num_heads=4, num_kv_heads=2, head_dim=16, raw=raw)
    assert cache_of(config).nbytes(FitSettings(4096)) == (2 * 4096 + 10 * 1024) * 128


def test_the_index_of_sparse_attention_is_assumed_and_said() -> None:
    config = find_entry("deepseek-ai/DeepSeek-V3.2").config
    cache, note = kv_cache(config)
    assert cache is not None
    assert "index" in note
    assert cache.nbytes(FitSettings(1)) == 61 * (512 + 64 + 128) * 2
    assert cache.nbytes_for(1, 1, "f16", index=False) == 61 * (512 + 64) * 2


def test_no_catalogue_model_breaks_it() -> None:
    for entry in catalogue():
        cache, note = kv_cache(entry.config)
        assert cache is not None or note, entry.id


@settings(deadline=None)
@given(
    context=st.integers(1, 10**6),
    more=st.integers(0, 10**6),
    batch=st.integers(1, 64),
    kv_dtype=st.sampled_from(list(KV_TYPES)),
    window=st.none() | st.integers(1, 10**5),
)
def test_more_tokens_and_more_sequences_never_take_less(
    context: int, more: int, batch: int, kv_dtype: str, window: int | None
) -> None:
    cache = cache_of(read_config({**GEMMA3, "sliding_window": window}))
    shorter = cache.nbytes(FitSettings(context, batch, kv_dtype))
    assert cache.nbytes(FitSettings(context + more, batch, kv_dtype)) >= shorter
    assert cache.nbytes(FitSettings(context, batch + 1, kv_dtype)) > shorter
