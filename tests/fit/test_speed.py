from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.fit.decoding import Token, cpu_seconds, gpu_seconds
from quantgui.fit.speed import ASSUMED_RAM_BANDWIDTH, speed_of, why_no_speed
from quantgui.hardware.catalogue import target
from quantgui.hardware.custom import custom_target
from quantgui.types import DeviceLoad, HardwareTarget, Placement, Runtime, SpeedEstimate

GIB = 2**30
CARD = target("RTX 3090")
BYTES = 5 * GIB


def placed(*devices: tuple[str, int | None, int], total: int = 33, experts: int = 0) -> Placement:
    loads = tuple(DeviceLoad(name, nbytes, 64 * GIB, layers) for name, layers, nbytes in devices)
    return Placement(loads, "", None, total, experts)


def speed(
    hardware: HardwareTarget = CARD,
    placement: Placement | None = None,
    active: int = BYTES,
    kv: int = GIB,
    is_moe: bool = False,
    runtime: Runtime = Runtime.LLAMA_CPP,
    experts: int = 0,
    expert_layers: Sequence[int] = (),
) -> SpeedEstimate:
    found = speed_of(
        active, kv, 4.9, is_moe, placement, hardware, 8 * 10**9, 4096,
        runtime=runtime, layers=32, active_expert_bytes=experts, expert_layer_bytes=expert_layers,
    )  # fmt: skip
    assert found is not None
    return found


def test_an_8b_in_q4_on_known_cards() -> None:
    """Llama-3-8B Q4_K_M, published: 115 on an RTX 3090, 131 on a 4090, 73 on a 3070, 79 on an M2 Ultra."""
    for name, published in (("RTX 3090", 115), ("RTX 4090", 131), ("RTX 3070", 73), ("Apple M2 Ultra", 79)):
        estimate = speed(target(name), active=4_620_000_000, kv=64 * 2**20)
        assert estimate.tokens_per_second == pytest.approx(published, rel=0.25), name
        assert estimate.low < published < estimate.high * 1.05, name


def test_two_gpus_in_layer_split_are_as_slow_as_one_that_holds_it_all() -> None:
    both = target("RTX 3090", 2)
    halves = placed(("RTX 3090", 16, 20 * GIB), ("RTX 3090", 16, 20 * GIB))
    assert speed(both, halves).tokens_per_second == pytest.approx(speed().tokens_per_second, rel=0.02)


def test_vllm_lets_both_work_at_once() -> None:
    both = target("RTX 3090", 2)
    shares = placed(("RTX 3090", None, 20 * GIB), ("RTX 3090", None, 20 * GIB))
    assert speed(both, shares, runtime=Runtime.VLLM).tokens_per_second > 1.3 * speed().tokens_per_second


@given(layers=st.integers(0, 31))
def test_every_layer_in_ram_slows_down(layers: int) -> None:
    fewer = placed(("RTX 3090", layers, GIB), ("RAM", 32 - layers, GIB))
    more = placed(("RTX 3090", layers + 1, GIB), ("RAM", 31 - layers, GIB))
    assert speed(placement=fewer).tokens_per_second < speed(placement=more).tokens_per_second


def test_offloaded_layers_take_the_time_of_the_ram() -> None:
    all_in_ram = placed(("RAM", 32, 5 * GIB))
    expected = 0.6 * ASSUMED_RAM_BANDWIDTH / (BYTES + GIB / 2)
    assert speed(placement=all_in_ram).tokens_per_second == pytest.approx(expected)
    assert "assumed" in speed(placement=all_in_ram).note
    half = speed(placement=placed(("RTX 3090", 16, GIB), ("RAM", 16, GIB)))
    assert half.tokens_per_second == pytest.approx(2 * expected, rel=0.25), "the GPU's half hardly counts"


def test_ram_that_only_holds_the_embedding_takes_no_part() -> None:
    beside = placed(("RTX 3090", 32, 5 * GIB), ("RAM", 0, GIB))
    assert speed(placement=beside).tokens_per_second == pytest.approx(speed().tokens_per_second)


def test_experts_in_ram_read_only_the_chosen_ones_there() -> None:
    placement = placed(("RTX 3090", 32, 8 * GIB), ("RAM", None, 20 * GIB), experts=16)
    few, many = (
        speed(placement=placement, is_moe=True, experts=share).tokens_per_second for share in (GIB // 2, 4 * GIB)
    )
    assert many < few < speed(is_moe=True).tokens_per_second


@given(
    cards=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    sizes=st.lists(st.integers(0, 10), min_size=32, max_size=32).filter(any),
    in_ram=st.integers(1, 32),
)
def test_with_experts_in_ram_every_byte_is_read_once_where_it_lies(
    cards: list[int], sizes: list[int], in_ram: int
) -> None:
    """RAM reads the chosen experts of the first layers, and neither the cache nor anything else."""
    borders = [round(32 * sum(cards[:i]) / sum(cards)) for i in range(len(cards) + 1)]
    loads = [("RTX 3090", after - before, GIB) for before, after in pairwise(borders)]
    placement = placed(*loads, ("RAM", None, 20 * GIB), experts=in_ram)
    rig = target("RTX 3090", len(cards))
    found = speed(rig, placement, is_moe=True, experts=2 * GIB, expert_layers=sizes)
    from_ram = 2 * GIB * sum(sizes[:in_ram]) / sum(sizes)
    bandwidth = rig.accelerators[0].bandwidth
    assert bandwidth is not None
    seconds = cpu_seconds(Token(from_ram, 0, 4.9, 0), rig.ram_bandwidth or ASSUMED_RAM_BANDWIDTH)
    seconds += gpu_seconds(Token(BYTES - from_ram, GIB / 2, 4.9, 32, True), bandwidth)
    assert 1 / found.tokens_per_second == pytest.approx(seconds, rel=0.01)  # layers are whole numbers


def test_layers_without_experts_leave_nothing_in_ram() -> None:
    """The first three layers of DeepSeek are dense: their "experts" in RAM cost nothing."""
    placement = placed(("RTX 3090", 32, 8 * GIB), ("RAM", None, GIB), experts=3)
    sizes = [0] * 3 + [GIB] * 29
    found = speed(placement=placement, is_moe=True, experts=2 * GIB, expert_layers=sizes)
    assert found.tokens_per_second == pytest.approx(speed(is_moe=True).tokens_per_second)


def test_a_processor_alone() -> None:
    """A 7B Q4_0 of 3.8 GB on desktops with DDR5-6400, published: 18 tokens/s."""
    estimate = speed(target("Desktop CPU, DDR5-6400 dual channel"), active=3_800_000_000, kv=0)
    assert estimate.low < 18.3 < estimate.high


def test_what_is_not_known_gives_no_number_and_a_reason() -> None:
    unknown = custom_target("My card", vram_gib=24)
    assert speed_of(BYTES, GIB, 4.9, False, None, unknown, 8 * 10**9, 4096) is None
    assert "My card" in why_no_speed(unknown)
    assert "RAM" in why_no_speed(custom_target("PC", ram_gib=32))
    assert why_no_speed(CARD) == ""


def test_the_first_token_needs_a_known_throughput() -> None:
    estimate = speed()
    assert estimate.first_token_seconds is not None
    assert estimate.first_token_low is not None
    assert estimate.first_token_high is not None
    assert estimate.first_token_low < estimate.first_token_seconds < estimate.first_token_high
    arithmetic = 2 * 8e9 * 4096 / (71.2e12 * 0.7)
    assert estimate.first_token_seconds == pytest.approx(arithmetic + BYTES / 936e9)
    blind = replace(CARD, accelerators=(replace(CARD.accelerators[0], fp16_flops=None),))
    assert speed(blind).first_token_seconds is None


@given(
    active=st.integers(0, 10**13),
    kv=st.integers(0, 10**13),
    bits=st.floats(0, 64),
    is_moe=st.booleans(),
    parameters=st.integers(0, 10**13),
    prompt=st.integers(0, 10**8),
    runtime=st.sampled_from(list(Runtime)),
)
def test_whatever_comes_in_is_finite_or_nothing(
    active: int, kv: int, bits: float, is_moe: bool, parameters: int, prompt: int, runtime: Runtime
) -> None:
    found = speed_of(active, kv, bits, is_moe, None, CARD, parameters, prompt, runtime=runtime)
    if found is None:
        assert active == 0
        return
    assert 0 < found.low < found.tokens_per_second < found.high < math.inf
