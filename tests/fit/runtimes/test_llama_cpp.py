"""llama.cpp's rules against lines of its logs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.checkpoint.tensor_names import describe
from quantgui.fit.model_facts import ModelFacts, facts_of
from quantgui.fit.runtimes import LLAMA_CPP, MIB, Site, SiteKind
from quantgui.fit.runtimes.llama_cpp import MICRO_BATCH, buffers, cells, host_buffer, older_buffers, prediction_bytes
from quantgui.fit.settings import KV_TYPES, MAX_CONTEXT, FitSettings, bits_per_element
from quantgui.types import TensorInfo

GPU = Site(SiteKind.CUDA)
GEMMA_270M: dict[str, Any] = {
    "model_type": "gemma3_text",
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "vocab_size": 262_144,
    "sliding_window": 512,
}


def facts(model: str | dict[str, Any]) -> ModelFacts:
    config = find_entry(model).config if isinstance(model, str) else read_config(model)
    return facts_of(checkpoint_from_config("", config))


def test_what_sees_lies_in_a_file_of_its_own_and_only_in_the_band() -> None:
    """Matrices in 16 bits, vectors in 32; 1.3 to 1.4 times that while an image is read."""
    text = checkpoint_from_config("", read_config(GEMMA_270M))
    shapes = {"vision_tower.blocks.0.mlp.fc1.weight": (4304, 1152), "vision_tower.blocks.0.mlp.fc1.bias": (4304,)}
    towers = tuple(
        TensorInfo(name, shape, "BF16", 0, module=describe(name, len(shape)).module) for name, shape in shapes.items()
    )
    both = facts_of(replace(text, tensors=(*text.tensors, *towers)))
    assert both.tower_bytes == 2 * 4304 * 1152 + 4 * 4304
    seeing, plain = (LLAMA_CPP.overhead(model, FitSettings(4096), GPU) for model in (both, facts_of(text)))
    assert (seeing.nbytes, seeing.low) == (plain.nbytes, plain.low)
    assert seeing.high is not None and plain.high is not None
    assert 1.3 * both.tower_bytes <= seeing.high - plain.high <= 1.4 * both.tower_bytes + 1
    assert "mmproj" in seeing.note and "mmproj" not in plain.note


def kv_mib(model: ModelFacts, settings: FitSettings) -> float:
    return (LLAMA_CPP.kv_cache(model, settings).nbytes or 0) / MIB


@pytest.mark.parametrize(
    ("slots", "unified", "mebibytes"),
    [(1, False, 39), (1, True, 39), (2, False, 54), (2, True, 46.5), (4, False, 84), (4, True, 61.5)],
)
def test_sliding_windows_and_slots(slots: int, unified: bool, mebibytes: float) -> None:
    """Gemma 3 270M at 8,192 tokens: three full layers, fifteen with a window of 512 and a micro-batch more."""
    settings = FitSettings(8192, slots=slots, kv_unified=unified)
    assert kv_mib(facts(GEMMA_270M), settings) == mebibytes


@pytest.mark.parametrize(("slots", "mebibytes"), [(1, 47.62), (4, 190.47)])
def test_states_are_kept_per_sequence_in_float32(slots: int, mebibytes: float) -> None:
    model = facts("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")
    assert model.cache is not None
    only_state = replace(model, cache=replace(model.cache, groups=()))
    assert round(kv_mib(only_state, FitSettings(8192, slots=slots)), 2) == mebibytes


def test_a_hybrid_keeps_its_attention_layers_and_its_states() -> None:
    model = facts("nvidia/Qwen3.6-27B-NVFP4")
    assert kv_mib(model, FitSettings(262_144, slots=4)) == 16_384 + 598.5
    assert kv_mib(model, FitSettings(262_144, kv_dtype="q8_0")) == 8704 + 598.5 / 4


def test_drafting_keeps_a_layer_more_which_is_said() -> None:
    """Qwen3.6-27B's log: 544 MiB for its prediction layer."""
    model = replace(facts("nvidia/Qwen3.6-27B-NVFP4"), prediction_layers=1)
    settings = FitSettings(262_144, kv_dtype="q8_0")
    assert prediction_bytes(model, settings) == 544 * MIB
    assert "544" in LLAMA_CPP.kv_cache(model, settings).note


def test_latent_attention_keeps_one_latent_per_token() -> None:
    assert kv_mib(facts("deepseek-ai/DeepSeek-R1"), FitSettings(16_384)) == 1098


def test_cells_come_in_256_per_stream() -> None:
    assert cells(FitSettings(1), None) == 256
    assert cells(FitSettings(1000, slots=3, kv_unified=False), None) == 3 * 512
    assert cells(FitSettings(1000, batch=3), None) == 3072
    assert cells(FitSettings(100_000), 4096) == 4096 + MICRO_BATCH


def test_an_fp8_cache_is_q8_0_here_and_that_is_said() -> None:
    model = facts(GEMMA_270M)
    asked, counted = (LLAMA_CPP.kv_cache(model, FitSettings(kv_dtype=dtype)) for dtype in ("fp8", "q8_0"))
    assert asked.nbytes == counted.nbytes
    assert "no fp8 cache" in asked.note


@pytest.mark.parametrize(
    ("model", "context", "flash_attention", "mebibytes"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8192, True, 258.5),
        ("Qwen/Qwen2.5-7B-Instruct", 8192, True, 304.0),
        ("meta-llama/Llama-3.1-8B-Instruct", 8192, False, 560.0),
        ("meta-llama/Llama-3.1-8B-Instruct", 512, False, 258.5),
        ("EleutherAI/pythia-2.8b", 2048, False, 162.0),
    ],
)
def test_compute_buffers_of_older_builds(model: str, context: int, flash_attention: bool, mebibytes: float) -> None:
    shape = facts(model).shape
    assert shape is not None
    settings = FitSettings(context, flash_attention=flash_attention)
    assert older_buffers(shape, settings).nbytes == mebibytes * MIB


@pytest.mark.parametrize(("slots", "mebibytes"), [(1, 36), (2, 492), (4, 1388), (8, 3220)])
def test_each_further_slot_holds_the_logits_of_a_micro_batch(slots: int, mebibytes: float) -> None:
    model = facts("nvidia/Qwen3.6-27B-NVFP4")
    assert buffers(model, FitSettings(512, slots=slots)).nbytes == pytest.approx(mebibytes * MIB, rel=0.1)


@pytest.mark.parametrize(
    ("model", "mebibytes"), [("nvidia/Qwen3.6-27B-NVFP4", 1360), ("nvidia/Gemma-4-31B-IT-NVFP4", 2392)]
)
def test_a_quantized_cache_needs_room_to_be_unpacked(model: str, mebibytes: float) -> None:
    settings = FitSettings(262_144, kv_dtype="q8_0")
    assert buffers(facts(model), settings).nbytes == pytest.approx(mebibytes * MIB, rel=0.1)


@pytest.mark.parametrize(
    ("model", "context", "mebibytes"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 512, 9.01),
        ("meta-llama/Llama-3.1-8B-Instruct", 8192, 24.01),
        ("Qwen/Qwen3-30B-A3B", 32_768, 68.01),
    ],
)
def test_the_buffer_of_the_inputs_lies_in_ram(model: str, context: int, mebibytes: float) -> None:
    """The logs show a hundredth more: positions and output rows."""
    shape = facts(model).shape
    assert shape is not None
    assert host_buffer(shape, FitSettings(context)) / MIB == pytest.approx(mebibytes, abs=0.02)


def test_several_gpus_copy_what_flows_between_them() -> None:
    model = facts(GEMMA_270M)
    one = LLAMA_CPP.compute(model, FitSettings(), GPU).nbytes or 0
    assert LLAMA_CPP.compute(model, FitSettings(), Site(SiteKind.CUDA, 2)).nbytes == 2 * 4 * one


def test_the_band_reaches_to_older_builds() -> None:
    model = facts("meta-llama/Llama-3.1-8B-Instruct")
    part = LLAMA_CPP.compute(model, FitSettings(8192), GPU)
    assert part.nbytes is not None and part.high is not None
    assert part.nbytes < 258.5 * MIB <= part.high


def test_only_a_gpu_has_a_cuda_context() -> None:
    model, settings = facts(GEMMA_270M), FitSettings()
    gpu, cpu = (LLAMA_CPP.overhead(model, settings, Site(kind)) for kind in (SiteKind.CUDA, SiteKind.CPU))
    assert "CUDA" in gpu.note and "CUDA" not in cpu.note
    assert (gpu.nbytes or 0) - (cpu.nbytes or 0) > 200 * MIB


@given(
    context=st.integers(1, MAX_CONTEXT // 8),
    more=st.integers(0, 10**6),
    slots=st.integers(1, 8),
    kv_dtype=st.sampled_from(list(KV_TYPES)),
    window=st.none() | st.integers(1, 10**6),
    unified=st.booleans(),
)
def test_more_tokens_and_more_slots_never_take_less(
    context: int, more: int, slots: int, kv_dtype: str, window: int | None, unified: bool
) -> None:
    def tokens(context: int, slots: int) -> int:
        return cells(FitSettings(context, slots=slots, kv_dtype=kv_dtype, kv_unified=unified), window)

    assert tokens(context + more, slots) >= tokens(context, slots)
    assert tokens(context, slots + 1) >= tokens(context, slots) or not unified
    assert tokens(context, slots) >= min(context, window or context)


def test_smaller_types_never_take_more() -> None:
    model = facts(GEMMA_270M)
    by_bits = sorted(KV_TYPES, key=bits_per_element)
    sizes = [kv_mib(model, FitSettings(kv_dtype=dtype)) for dtype in by_bits if dtype != "fp8"]
    assert sizes == sorted(sizes)
