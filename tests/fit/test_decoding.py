from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.fit.decoding import Token, cpu_seconds, efficiency, gpu_seconds
from quantgui.types import Runtime

GB = 1e9
BITS = st.floats(0.5, 32)
VENDORS = st.sampled_from(["", "NVIDIA", "Apple", "AMD", "Intel", "somebody"])


def token(**changes: float) -> Token:
    values = {"weight_bytes": 5 * GB, "cache_bytes": 0.5 * GB, "bits_per_weight": 4.9, "layers": 32, **changes}
    return Token(**values)  # type: ignore[arg-type]


@given(bits=BITS, more=st.floats(0, 16), vendor=VENDORS)
def test_efficiency_never_rises_as_the_bits_fall_and_stays_a_share(bits: float, more: float, vendor: str) -> None:
    assert 0 < efficiency(bits, vendor) <= efficiency(bits + more, vendor) + 1e-12 <= 1


def test_efficiency_of_apple_follows_the_table_of_one_device() -> None:
    """468 GB/s for F16, 435 for Q8_0 and 354 for Q4_K_M of Llama-3.1-8B, launches of 32 layers included."""
    bandwidth = 546 * GB
    speeds = []
    for size, bits in ((16.07, 16.0), (8.54, 8.5), (4.92, 4.9)):
        seconds = gpu_seconds(Token(size * GB, 0, bits, 32), bandwidth, "Apple")
        speeds.append(size / seconds)
    assert speeds == pytest.approx([468, 435, 354], rel=0.2)
    assert speeds == sorted(speeds, reverse=True)


@given(bandwidth=st.floats(1e9, 1e13), more=st.floats(1, 10), vendor=VENDORS, runtime=st.sampled_from(list(Runtime)))
def test_a_faster_memory_is_never_slower_and_no_memory_is_exceeded(
    bandwidth: float, more: float, vendor: str, runtime: Runtime
) -> None:
    slow = gpu_seconds(token(), bandwidth, vendor, runtime)
    fast = gpu_seconds(token(), bandwidth * more, vendor, runtime)
    assert fast <= slow
    assert slow >= (token().weight_bytes + token().cache_bytes) / bandwidth


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.integers(0, 200))
def test_more_to_read_takes_longer(weights: float, cache: float, layers: int) -> None:
    less = token(weight_bytes=weights, cache_bytes=cache, layers=layers)
    more = token(weight_bytes=weights + GB, cache_bytes=cache, layers=layers)
    for runtime in Runtime:
        assert gpu_seconds(less, 1e12, runtime=runtime) <= gpu_seconds(more, 1e12, runtime=runtime)
    assert cpu_seconds(less, 1e11) < cpu_seconds(more, 1e11)


def test_small_models_are_bound_by_their_launches() -> None:
    small = Token(0.14 * GB, 0.01 * GB, 8.5, 30)
    reached = (small.weight_bytes + small.cache_bytes) / gpu_seconds(small, 360 * GB)
    assert reached < 0.4 * 360 * GB, "SmolLM2-135M reaches 0.28 of an RTX 3060"


def test_mixtures_reach_about_a_third() -> None:
    mixture = Token(2.06 * GB, 0.31 * GB, 4.9, 40, is_moe=True)
    reached = (mixture.weight_bytes + mixture.cache_bytes) / gpu_seconds(mixture, 1792 * GB)
    assert 0.24 <= reached / (1792 * GB) <= 0.4


def test_transformers_is_bound_by_python_until_the_context_is_long() -> None:
    """Qwen2.5-32B in BF16 on an A100: 17.5 tokens/s at the beginning, 9 with 15,000 tokens in the cache."""
    short = Token(65.5e9, 0.3e9, 16.0, 64, cached_tokens=1024)
    long = Token(65.5e9, 4e9, 16.0, 64, cached_tokens=15_360)
    speeds = [1 / gpu_seconds(t, 2039 * GB, "NVIDIA", Runtime.TRANSFORMERS) for t in (short, long)]
    assert speeds == pytest.approx([17.5, 9.0], rel=0.25)


def test_a_part_reads_its_fraction() -> None:
    part = token().part(0.25, 0.25, 0.25)
    assert (part.weight_bytes, part.cache_bytes, part.layers) == (1.25 * GB, 0.125 * GB, 8)
