from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import find_entry
from quantgui.fit.estimate import estimate_gguf, estimate_table
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.fit.placement import Outcome, describe, place
from quantgui.fit.settings import FitSettings
from quantgui.fit.situation import Situation, situation_of
from quantgui.fit.weights import WeightBytes
from quantgui.hardware.catalogue import parse_target
from quantgui.hardware.custom import custom_target
from quantgui.types import GIB, Accelerator, Checkpoint, HardwareTarget, MemoryEstimate, Runtime, Verdict

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
MIXTURE = "Qwen/Qwen3-30B-A3B"


@cache
def checkpoint(model: str) -> Checkpoint:
    return find_entry(model).checkpoint()


@cache
def q4(model: str) -> WeightBytes:
    return next(row for row in gguf_weights(checkpoint(model)) if row.scheme_id == "Q4_K_M")


def situation(
    hardware: HardwareTarget, model: str = LLAMA, runtime: Runtime = Runtime.LLAMA_CPP, context: int = 8192
) -> Situation:
    return situation_of(checkpoint(model), runtime, hardware, FitSettings(context))


def placed(hardware: HardwareTarget, model: str = LLAMA, **options: object) -> Outcome:
    found = situation(hardware, model, **options)  # type: ignore[arg-type]
    return place(q4(model), found.demand, found.budget)


def unequal(*gib: float, ram: float = 64) -> HardwareTarget:
    gpus = tuple(Accelerator(f"GPU {i}", int(size * GIB)) for i, size in enumerate(gib))
    return HardwareTarget("x", "custom", gpus, int(ram * GIB))


def row(model: str, hardware: HardwareTarget, scheme_id: str, context: int = 8192, **options: object) -> MemoryEstimate:
    settings = FitSettings(context, **options)  # type: ignore[arg-type]
    estimates = estimate_table if settings.runtime else estimate_gguf  # the registry's rows of a mixture take seconds
    return next(e for e in estimates(checkpoint(model), hardware, settings) if e.scheme_id == scheme_id)


def test_the_loads_add_up_to_the_parts() -> None:
    """On one GPU, on several, with layers or experts in RAM, and without a GPU."""
    for model, target in (
        (LLAMA, unequal(12)),
        (LLAMA, unequal(4, 3)),
        (LLAMA, unequal(4)),
        (MIXTURE, unequal(12)),
        (LLAMA, custom_target("x", ram_gib=16)),
        (LLAMA, parse_target("Apple M4 Max")),
    ):
        estimate = row(model, target, "Q4_K_M")
        assert estimate.placement is not None
        held = sum(device.nbytes for device in estimate.placement.devices)
        assert held == pytest.approx(estimate.total_bytes, rel=1e-6), (model, target.name)


@pytest.mark.parametrize("cards", range(1, 9))
def test_vllm_uses_as_many_gpus_as_share_the_heads_evenly(cards: int) -> None:
    """Llama's 32 heads, 8 of keys and values: every number that divides both; 16 would repeat the latter."""
    found = situation(unequal(*[24] * cards), runtime=Runtime.VLLM)
    assert found.demand.rules.can_share(found.demand.model, cards) == (cards in (1, 2, 4, 8))
    assert found.demand.rules.can_share(found.demand.model, 16)
    estimate = row(LLAMA, unequal(*[9] * cards), "BF16", 1024, runtime=Runtime.VLLM)
    devices = len(estimate.placement.devices) if estimate.placement is not None else 0
    assert devices == (0 if cards < 4 else 4)
    if cards == 3:  # 27 GiB for 15 of weights would be enough, if three could share them
        assert "so only 2 of 3 can work together" in estimate.reason


def test_one_gpu_is_enough_where_the_model_fits_it() -> None:
    outcome = placed(unequal(12, 24))
    assert [device.name for device in outcome.devices] == ["GPU 1", "RAM"]
    assert outcome.verdict is Verdict.FITS


def test_unequal_gpus_take_layers_by_their_room() -> None:
    outcome = placed(unequal(6, 3))
    large, small, ram = outcome.devices
    assert outcome.verdict in (Verdict.FITS, Verdict.TIGHT)
    assert (large.layers or 0) > (small.layers or 0) > 0
    assert (large.layers or 0) + (small.layers or 0) == 32
    assert all(device.nbytes <= device.capacity_bytes for device in (large, small))
    assert ram.layers == 0, "the input embedding alone"


def test_equal_shares_are_limited_by_the_smallest_gpu() -> None:
    estimate = row(LLAMA, unequal(24, 6), "BF16", 1024, runtime=Runtime.VLLM)
    assert estimate.verdict is Verdict.FITS, "the large one alone"
    assert row(LLAMA, unequal(12, 4), "BF16", 1024, runtime=Runtime.VLLM).verdict is Verdict.TOO_LARGE
    both = row(LLAMA, unequal(13, 13), "BF16", 1024, runtime=Runtime.VLLM)
    assert both.verdict is Verdict.FITS
    assert both.placement is not None
    assert len({device.nbytes for device in both.placement.devices}) == 1


def test_layers_that_do_not_fit_stay_in_ram_with_their_cache() -> None:
    short, long = (row(LLAMA, unequal(4), "Q4_K_M", context).placement for context in (4096, 65_536))
    assert short is not None and long is not None
    assert short.total_layers == 33
    assert 0 < (long.gpu_layers or 0) < (short.gpu_layers or 0) < 33
    assert "of 33 layers on the GPU" in short.sentence


def test_a_mixture_keeps_experts_in_ram_first() -> None:
    estimate = row(MIXTURE, unequal(12), "Q4_K_M")
    assert estimate.verdict is Verdict.OFFLOAD
    assert estimate.placement is not None
    assert 0 < estimate.placement.experts_in_ram < 48
    assert estimate.placement.gpu_layers == 49


def test_nothing_on_the_gpu_means_no_cuda_context() -> None:
    outcome = placed(unequal(1))
    assert outcome.verdict is Verdict.OFFLOAD
    assert outcome.layers_on_gpus == 0
    assert "CUDA" not in outcome.load.overhead.note


def test_what_runs_nowhere_has_no_placement() -> None:
    found = situation(custom_target("x", 4, 4), context=65_536)
    outcome = place(q4(LLAMA), found.demand, found.budget)
    assert outcome.verdict is Verdict.TOO_LARGE
    assert describe(outcome, q4(LLAMA), found.demand, found.budget) is None


def test_a_shared_memory_has_two_limits() -> None:
    mac = parse_target("Apple M4")
    assert row(LLAMA, mac, "Q4_K_M").verdict is Verdict.FITS
    beyond = row(LLAMA, mac, "Q8_0", 32_768)
    assert beyond.verdict is Verdict.OFFLOAD
    assert beyond.placement is not None
    assert "limit is raised" in beyond.placement.sentence


@settings(deadline=None, max_examples=60)
@given(
    gib=st.lists(st.floats(1, 48), min_size=1, max_size=4),
    ram=st.floats(0, 64),
    more=st.floats(0, 48),
    extra=st.booleans(),
    runtime=st.sampled_from([Runtime.LLAMA_CPP, Runtime.VLLM, Runtime.TRANSFORMERS]),
)
def test_more_hardware_never_gets_a_worse_verdict(
    gib: list[float], ram: float, more: float, extra: bool, runtime: Runtime
) -> None:
    order = list(Verdict)
    grown = [*gib, more + 1] if extra else [gib[0] + more, *gib[1:]]
    before, after = (placed(unequal(*sizes, ram=size), runtime=runtime) for sizes, size in ((gib, ram), (grown, ram)))
    if before.verdict in (Verdict.FITS, Verdict.TIGHT):
        assert order.index(after.verdict) <= order.index(before.verdict)


@settings(deadline=None, max_examples=60)
@given(gib=st.lists(st.floats(1, 24), min_size=1, max_size=3), context=st.integers(256, 131_072))
def test_no_memory_is_overfilled(gib: list[float], context: int) -> None:
    for model in (LLAMA, MIXTURE):
        outcome = placed(unequal(*gib), model, context=context)
        assert all(device.nbytes <= device.capacity_bytes for device in outcome.devices)


@settings(deadline=None, max_examples=40)
@given(
    gib=st.lists(st.floats(4, 48), min_size=1, max_size=3),
    context=st.integers(256, 131_072),
    runtime=st.sampled_from([Runtime.LLAMA_CPP, Runtime.VLLM]),
)
def test_the_longest_context_fits_and_a_longer_one_does_not(gib: list[float], context: int, runtime: Runtime) -> None:
    """On one GPU to the step of 256 tokens; on several whole layers may not come out even."""
    hardware = unequal(*gib)
    longest = situation(hardware, runtime=runtime, context=context).longest.context(q4(LLAMA))
    assert longest is not None
    assert longest % 256 == 0
    if longest:
        assert placed(hardware, runtime=runtime, context=longest).verdict is Verdict.FITS
    if len(gib) == 1:
        assert placed(hardware, runtime=runtime, context=longest + 256).verdict is not Verdict.FITS


def test_several_gpus_give_little_of_the_context_away() -> None:
    one, two = (situation(unequal(*gib)).longest.context(q4(LLAMA)) or 0 for gib in ((24,), (12.5, 12.5)))
    assert two > 0.85 * one
