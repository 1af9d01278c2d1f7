from __future__ import annotations

import pytest

from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.fit.model_facts import ModelFacts, facts_of
from quantgui.fit.runtimes import VLLM, Site, SiteKind
from quantgui.fit.runtimes.vllm import profile_bytes
from quantgui.fit.settings import FitSettings
from quantgui.types import GIB


def facts(model: str) -> ModelFacts:
    return facts_of(checkpoint_from_config("", find_entry(model).config))


@pytest.mark.parametrize(
    ("model", "tokens", "gibibytes"),
    [
        ("openai/gpt-oss-120b", 78_384, 5.38),
        ("nvidia/Gemma-4-31B-IT-NVFP4", 26_800, 24.54),
        ("Qwen/Qwen2.5-7B-Instruct", 597_776, 31.92),
    ],
)
def test_pools_of_the_logs_hold_as_many_tokens(model: str, tokens: int, gibibytes: float) -> None:
    """Of a model with sliding layers every layer gets pages of the widest, for the whole length."""
    assert round((VLLM.kv_cache(facts(model), FitSettings(tokens)).nbytes or 0) / GIB, 2) == gibibytes


def test_pages_hold_16_tokens() -> None:
    model = facts("Qwen/Qwen2.5-7B-Instruct")
    sizes = [VLLM.kv_cache(model, FitSettings(tokens)).nbytes for tokens in (1, 16, 17)]
    assert sizes[0] == sizes[1] and sizes[2] == 2 * (sizes[1] or 0)


def test_sliding_layers_may_need_less_which_the_band_says() -> None:
    part = VLLM.kv_cache(facts("google/gemma-3-27b-it"), FitSettings(32_768))
    assert part.low is not None and part.nbytes is not None
    assert part.low < part.nbytes / 2
    assert "widest" in part.note


def test_a_type_it_does_not_have_is_said() -> None:
    model = facts("Qwen/Qwen2.5-7B-Instruct")
    counted = VLLM.kv_cache(model, FitSettings(kv_dtype="q4_0"))
    assert counted.nbytes == VLLM.kv_cache(model, FitSettings(kv_dtype="fp8")).nbytes
    assert "no q4_0 cache" in counted.note


def test_the_profile_run_of_llama_3() -> None:
    shape = facts("meta-llama/Llama-3.1-8B-Instruct").shape
    assert shape is not None
    assert profile_bytes(shape, 8192, FitSettings(8192)) / GIB == pytest.approx(1.26, rel=0.1)


def test_several_gpus_talk_to_each_other() -> None:
    model = facts("Qwen/Qwen2.5-7B-Instruct")
    one, two = (VLLM.overhead(model, FitSettings(), Site(SiteKind.CUDA, count)) for count in (1, 2))
    assert (two.nbytes or 0) > 2 * (one.nbytes or 0)
    assert "NCCL" in two.note
