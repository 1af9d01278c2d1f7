"""Bytes of the KV cache against the cache that transformers fills."""

from __future__ import annotations

from typing import Any

import pytest

from quantgui.checkpoint.config import read_config
from quantgui.fit.kv_cache import kv_cache
from quantgui.fit.settings import FitSettings

pytestmark = pytest.mark.slow

TINY: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 32,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
WIDE = {**TINY, "head_dim": 16}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", TINY),
    "mistral with a window": ("mistral", {**TINY, "sliding_window": 8}),
    "qwen2 with windows": ("qwen2", {**TINY, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2}),
    "qwen3": ("qwen3", WIDE),
    "gemma2": ("gemma2", {**WIDE, "sliding_window": 8}),
    "gemma3": ("gemma3_text", {**WIDE, "sliding_window": 8}),
    "gpt_oss": ("gpt_oss", {**WIDE, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 8}),
    "starcoder2": ("starcoder2", {**TINY, "sliding_window": None}),
    "falcon": ("falcon", {**TINY, "multi_query": True}),
    "gpt_neox": ("gpt_neox", TINY),
    "phi": ("phi", TINY),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tokens", [6, 24])
def test_the_cache_after_a_prompt(case: str, tokens: int) -> None:
    """transformers drops one token more than the window says, since the newest attends to itself anyway."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type, values = CASES[case]
    torch.set_num_threads(1)
    config = AutoConfig.for_model(model_type, **values)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        filled = model(torch.ones(2, tokens, dtype=torch.long), use_cache=True).past_key_values
    actual = sum(layer.keys.nbytes + layer.values.nbytes for layer in filled.layers)

    cache, _ = kv_cache(read_config(config.to_dict()))
    assert cache is not None
    ours = cache.nbytes(FitSettings(tokens, batch=2, kv_dtype="f32"))
    sliding = sum(group.count * group.elements_per_token for group in cache.groups if group.window)
    assert ours - (2 * 4 * sliding if tokens > 8 else 0) == actual


@pytest.mark.parametrize("decoder_layers", [2, 3])
def test_a_decoder_keeps_its_own_tokens_and_those_of_the_encoder(decoder_layers: int) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    sizes = {"d_model": 48, "d_ff": 80, "d_kv": 10, "num_layers": 2, "num_heads": 4, "vocab_size": 64}
    config = AutoConfig.for_model("t5", **sizes, num_decoder_layers=decoder_layers)
    model = AutoModelForSeq2SeqLM.from_config(config).eval()
    ids = torch.ones(2, 24, dtype=torch.long)
    with torch.no_grad():
        filled = model(input_ids=ids, decoder_input_ids=ids, use_cache=True).past_key_values
    parts = (filled.self_attention_cache, filled.cross_attention_cache)
    actual = sum(layer.keys.nbytes + layer.values.nbytes for part in parts for layer in part.layers)
    cache, note = kv_cache(read_config(config.to_dict()))
    assert cache is not None
    assert cache.nbytes(FitSettings(24, batch=2, kv_dtype="f32")) == actual
    assert "encoder" in note
