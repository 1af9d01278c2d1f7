from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.fit.estimate import estimate_all, estimate_recipe, estimate_table
from quantgui.fit.settings import FitSettings
from quantgui.fit.weights import STORED
from quantgui.hardware.catalogue import parse_target, target
from quantgui.hardware.custom import custom_target
from quantgui.quant.registry import rows
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import (
    GIB,
    Checkpoint,
    HardwareTarget,
    MemoryKind,
    ModelConfig,
    Provenance,
    Role,
    Runtime,
    SourceKind,
    TensorInfo,
    UserError,
    Verdict,
)

SHAPES = st.lists(st.integers(0, 300), max_size=4).map(tuple)
TENSORS = st.builds(
    lambda name, shape, dtype, role: TensorInfo(name, shape, dtype, 2 * math.prod(shape), role=role),
    st.text(max_size=12),
    SHAPES,
    st.sampled_from(["BF16", "F32", "F8_E4M3", "I32", "BOOL", "Q4_K"]),
    st.sampled_from(list(Role)),
)


@cache
def llama_8b() -> Checkpoint:
    return find_entry("meta-llama/Llama-3.1-8B-Instruct").checkpoint()


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    return llama_8b()


@pytest.fixture(scope="module")
def card() -> HardwareTarget:
    return target("RTX 3060")


def test_every_row_has_its_four_parts_and_they_add_up(model: Checkpoint, card: HardwareTarget) -> None:
    estimates = estimate_all(model, card)
    assert [e.scheme_id for e in estimates] == [row.id for row in rows()]
    for estimate in estimates:
        assert [part.kind for part in estimate.parts] == list(MemoryKind)
        assert estimate.total_bytes == sum(p.nbytes for p in estimate.parts if p.nbytes is not None)
        assert estimate.part(MemoryKind.KV_CACHE) == GIB
        assert [part.provenance for part in estimate.parts] == [Provenance.DERIVED] * 2 + [Provenance.ESTIMATED] * 2
        assert estimate.reason.endswith(".")


def test_bf16_of_an_8b_does_not_fit_12_gib_and_int4_does(model: Checkpoint, card: HardwareTarget) -> None:
    verdicts = {e.scheme_id: e.verdict for e in estimate_all(model, card)}
    assert (verdicts["BF16"], verdicts["INT4"]) == (Verdict.OFFLOAD, Verdict.FITS)


@settings(deadline=None)
@given(context=st.integers(1, 10**7), more=st.integers(0, 10**7), batch=st.integers(1, 64))
def test_a_longer_context_never_needs_less(context: int, more: int, batch: int) -> None:
    order, card = list(Verdict), target("RTX 3060")
    short = estimate_all(llama_8b(), card, FitSettings(context, batch))
    long = estimate_all(llama_8b(), card, FitSettings(context + more, batch))
    for before, after in zip(short, long, strict=True):
        assert after.total_bytes >= before.total_bytes
        assert order.index(after.verdict) >= order.index(before.verdict)


@settings(deadline=None)
@given(vram=st.just(0) | st.floats(1, 1000), ram=st.floats(1, 1000), more=st.floats(0, 1000))
def test_more_memory_never_gets_a_worse_verdict(vram: float, ram: float, more: float) -> None:
    order = list(Verdict)
    small = estimate_all(llama_8b(), custom_target("x", vram, ram))
    large = estimate_all(llama_8b(), custom_target("x", vram + more if vram else 0, ram + more))
    for before, after in zip(small, large, strict=True):
        assert order.index(after.verdict) <= order.index(before.verdict)


def test_a_recipe_of_one_row_is_that_row(model: Checkpoint, card: HardwareTarget) -> None:
    for estimate in estimate_all(model, card):
        assert estimate_recipe(model, Recipe(SchemeSpec(estimate.scheme_id)), card) == estimate


def test_a_recipe_that_keeps_more_needs_more(model: Checkpoint, card: HardwareTarget) -> None:
    plain = estimate_recipe(model, Recipe(SchemeSpec("INT4")), card)
    kept = estimate_recipe(model, Recipe(SchemeSpec("INT4"), (Rule("*.down_proj.weight"),)), card)
    assert kept.total_bytes > plain.total_bytes
    with pytest.raises(UserError):
        estimate_recipe(model, Recipe(SchemeSpec("INT5½")), card)


def test_an_impossible_config_leaves_the_weights_and_says_why(model: Checkpoint, card: HardwareTarget) -> None:
    assert model.config is not None
    broken = replace(model, config=replace(model.config, raw={**model.config.raw, "num_key_value_heads": 7}))
    for estimate in estimate_all(broken, card):
        assert estimate.part(MemoryKind.KV_CACHE) is None
        assert estimate.part(MemoryKind.WEIGHTS)
        assert "do not divide" in estimate.parts[1].note
        assert "not estimated" in estimate.reason


def test_a_checkpoint_without_a_config_or_tensors_is_survived(card: HardwareTarget, model: Checkpoint) -> None:
    assert estimate_all(replace(model, config=None), card)
    for estimate in estimate_all(replace(model, tensors=()), card):
        assert estimate.bits_per_weight == 0
        assert estimate.part(MemoryKind.WEIGHTS) == 0


def test_a_context_beyond_what_the_model_was_made_for_is_said(model: Checkpoint, card: HardwareTarget) -> None:
    within, beyond = (estimate_all(model, card, FitSettings(n))[0].parts[1].note for n in (131_072, 131_073))
    assert within == ""
    assert "made for" in beyond


@pytest.mark.parametrize("model_id", ["Qwen3-4B", "gemma-3-27b-it", "gpt-oss-20b", "Mixtral-8x7B-v0.1", "phi-2"])
def test_families_of_the_catalogue_are_estimated_on_every_kind_of_hardware(model_id: str) -> None:
    entry = find_entry(model_id)
    checkpoint = checkpoint_from_config(entry.id, entry.config)
    for name in ("RTX 4090", "Apple M4 Max", "Snapdragon 8 Elite", "Raspberry Pi 5", "EPYC Turin, 12ch DDR5-6000"):
        estimates = estimate_all(checkpoint, target(name))
        assert all(e.part(MemoryKind.KV_CACHE) for e in estimates), entry.id
        assert {e.verdict for e in estimates} <= set(Verdict)


@settings(deadline=None)
@given(tensors=st.lists(TENSORS, max_size=6), values=st.dictionaries(st.text(max_size=4), st.integers() | st.none()))
def test_whatever_a_header_says_ends_in_numbers_or_in_a_user_error(
    tensors: list[TensorInfo], values: dict[str, int | None]
) -> None:
    config = read_config({"model_type": "llama", **values})
    checkpoint = Checkpoint("x", SourceKind.SAFETENSORS, "/x", tuple(tensors), config)
    try:
        estimates = estimate_all(checkpoint, custom_target("x", ram_gib=8))
    except UserError:
        return
    for estimate in estimates:
        assert math.isfinite(estimate.bits_per_weight)
        assert all(part.nbytes is None or part.nbytes >= 0 for part in estimate.parts)


SIZES = st.none() | st.integers(-5, 10**12) | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=3)
KEYS = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"),
    *("intermediate_size", "vocab_size", "sliding_window", "num_experts", "num_experts_per_tok"),
    *("moe_intermediate_size", "kv_lora_rank", "qk_rope_head_dim", "max_position_embeddings"),
    *("num_nextn_predict_layers", "quantization_config"),
)
CONFIGS = st.fixed_dictionaries(
    {"model_type": st.sampled_from(["llama", "gemma3_text", "qwen3_moe", "deepseek_v3", "qwen3_5_text", "mamba2", ""])},
    optional=dict.fromkeys(KEYS, st.integers(1, 64) | SIZES),
)
TARGETS = ("RTX 3060", "2xRTX 4090", "Apple M4", "Raspberry Pi 5", "Snapdragon 8 Elite")


@settings(deadline=None)
@given(
    values=CONFIGS,
    tensors=st.lists(TENSORS, max_size=4),
    hardware=st.sampled_from(TARGETS),
    runtime=st.none() | st.sampled_from(list(Runtime)),
    context=st.integers(1, 10**8),
    slots=st.integers(1, 1024),
)
def test_nonsense_never_ends_in_a_crash_or_in_what_is_no_number(
    values: dict[str, object],
    tensors: list[TensorInfo],
    hardware: str,
    runtime: Runtime | None,
    context: int,
    slots: int,
) -> None:
    config = read_config(values)
    checkpoint = Checkpoint("x", SourceKind.CONFIG, "", tuple(tensors), config)
    try:
        estimates = estimate_table(
            checkpoint, parse_target(hardware), FitSettings(context, slots=slots, runtime=runtime)
        )
    except UserError as error:
        assert str(error).endswith((".", "?"))
        return
    for estimate in estimates:
        low, high = estimate.band
        assert 0 <= low <= estimate.total_bytes <= high
        assert estimate.longest_context is None or estimate.longest_context >= 0
        assert estimate.speed is None or 0 < estimate.speed.tokens_per_second < math.inf
        assert estimate.reason


def test_the_table_holds_every_row_once(model: Checkpoint, card: HardwareTarget) -> None:
    ids = [estimate.scheme_id for estimate in estimate_table(model, card)]
    assert len(ids) == len(set(ids))
    assert {*(row.id for row in rows()), "NVFP4", "Q4_K_M"} <= set(ids)


def test_what_a_config_says_is_published_comes_first(card: HardwareTarget) -> None:
    estimates = estimate_table(find_entry("openai/gpt-oss-20b").checkpoint(), card)
    assert estimates[0].scheme_id == STORED
    assert estimates[0].part(MemoryKind.WEIGHTS) == 13_761_264_768


def gguf_file(kind: str, bits: float, quantization: str | None) -> Checkpoint:
    tensors = (
        TensorInfo("token_embd.weight", (64, 32), kind, int(2048 * bits) // 8, role=Role.EMBEDDING, module="embed"),
        TensorInfo(
            "blk.0.attn_q.weight", (32, 32), kind, int(1024 * bits) // 8, role=Role.ATTENTION, layer=0, module="attn.q"
        ),
    )
    config = ModelConfig(
        "llama",
        hidden_size=32,
        num_layers=1,
        num_heads=4,
        head_dim=8,
        vocab_size=64,
        quantization=quantization,
        raw={"general.architecture": "llama"},
    )
    return Checkpoint("x", SourceKind.GGUF, "/x.gguf", tensors, config)


def test_a_gguf_file_of_floats_becomes_the_types_of_llama_cpp_alone(card: HardwareTarget) -> None:
    names = {estimate.scheme_id for estimate in estimate_table(gguf_file("F16", 16, None), card)}
    assert {"GGUF-F16", "Q8_0", "Q4_K_M"} <= names
    assert names.isdisjoint(row.id for row in rows())


def test_a_gguf_file_runs_in_llama_cpp(card: HardwareTarget) -> None:
    file = gguf_file("Q4_K", 4.5, "gguf")
    (estimate,) = estimate_table(file, card)
    assert estimate.runtime is Runtime.LLAMA_CPP
    assert estimate.part(MemoryKind.WEIGHTS) == 1728
    assert estimate_all(file, card)[0].runtime is Runtime.LLAMA_CPP
    with pytest.raises(UserError, match=r"llama\.cpp"):
        estimate_table(file, card, FitSettings(runtime=Runtime.VLLM))
