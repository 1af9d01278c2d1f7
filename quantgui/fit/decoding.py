"""Seconds that one memory needs for its part of a generated token.

A token reads every active weight and the KV cache once, and every layer starts its kernels once:

    seconds = weights / (efficiency(bits) * reached) + cache / (0.8 * reached) + layers * launch time

where `reached` is the bandwidth that kernels for a single sequence reach: bandwidth / (1 + bandwidth / 6 TB/s), since
one sequence has too little work in flight to fill the fastest memories. The launch time is what makes small models and
mixtures of experts slower than their bytes: over published measurements the whole comes to 0.62 of the bandwidth for
dense models and 0.34 for mixtures. The benchmark `speed-accuracy` compares it with more than 200 measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.types import Runtime

EFFICIENCY_16_BITS = 0.92
EFFICIENCY_4_BITS = 0.9
"""Share of the reached bandwidth at 16 bits and at Q4_K_M's 4.9 bits, where unpacking starts to cost."""
EFFICIENCY_4_BITS_APPLE = 0.75
"""Likewise on Apple's GPUs: 468 GB/s for F16, 435 for Q8_0 and 354 for Q4_K_M of Llama-3.1-8B in one table."""
BITS = (4.9, 8.5, 16.0)
FALL = 0.71
"""Of the way from 4.9 to 16 bits' efficiency, what 8.5 bits reach (the same table)."""
FEWER_BITS_EXPONENT = 0.5
"""Below 4.9 bits unpacking takes over: Q2_K reads 0.65 of Q4_K_M's bytes and is hardly faster."""
CACHE_EFFICIENCY = 0.8
SATURATION = 6e12
"""Bytes per second at which a single sequence reaches half of a memory's bandwidth."""
LAUNCH_SECONDS = {"": 35e-6, "Apple": 100e-6}
"""Per layer, by vendor: kernels' start and the wait for the slowest of them."""
MOE_LAUNCH_SECONDS = 60e-6
"""Per layer of a mixture, where the router and the gathering of experts come on top."""
OTHER_VENDORS = {"AMD": 0.8, "Intel": 0.7}
"""Efficiency of other vendors' kernels beside NVIDIA's: an RX 7900 XTX reaches 0.54 of its bandwidth, they 0.66."""
CPU_EFFICIENCY = 0.6
"""Share of the RAM's bandwidth that processors reach: 0.54 to 0.68 in reports of 4-bit models on desktops."""
EAGER_SECONDS = 0.8e-3
"""Per layer in transformers, whose Python starts every kernel: 0.9 ms in 2024, 0.6 ms in 2025 for 16-bit weights."""
EAGER_SECONDS_PACKED = 1.05e-3
"""Likewise with packed weights, where each projection is several calls."""
EAGER_SECONDS_PER_TOKEN = 60e-9
"""Per layer and cached token in transformers: attention of one sequence keeps one processor per head busy."""


@dataclass(frozen=True, slots=True)
class Token:
    """What generating one token takes, independent of the device."""

    weight_bytes: float
    cache_bytes: float  # read, not reserved
    bits_per_weight: float
    layers: int
    is_moe: bool = False
    cached_tokens: int = 0

    def part(self, weights: float, cache: float, layers: float) -> Token:
        """What one of several memories has of it, in fractions."""
        return Token(
            self.weight_bytes * weights,
            self.cache_bytes * cache,
            self.bits_per_weight,
            round(self.layers * layers),
            self.is_moe,
            self.cached_tokens,
        )


def efficiency(bits_per_weight: float, vendor: str = "") -> float:
    """Share of the reached bandwidth at which weights of so many bits are read; falls with the bits."""
    low_bits, middle_bits, high_bits = BITS
    low = EFFICIENCY_4_BITS_APPLE if vendor == "Apple" else EFFICIENCY_4_BITS
    middle = low + FALL * (EFFICIENCY_16_BITS - low)
    factor = OTHER_VENDORS.get(vendor, 1.0)
    if bits_per_weight >= high_bits:
        return factor * EFFICIENCY_16_BITS
    if bits_per_weight >= middle_bits:
        step = (bits_per_weight - middle_bits) / (high_bits - middle_bits)
        return factor * (middle + step * (EFFICIENCY_16_BITS - middle))
    if bits_per_weight >= low_bits:
        step = (bits_per_weight - low_bits) / (middle_bits - low_bits)
        return factor * (low + step * (middle - low))
    return factor * low * (max(bits_per_weight, 0.5) / low_bits) ** FEWER_BITS_EXPONENT


def gpu_seconds(token: Token, bandwidth: float, vendor: str = "", runtime: Runtime = Runtime.LLAMA_CPP) -> float:
    """Seconds on one GPU of `bandwidth` bytes per second, which must be above 0."""
    reached = bandwidth / (1 + bandwidth / SATURATION)
    weights = token.weight_bytes / (efficiency(token.bits_per_weight, vendor) * reached)
    cache = token.cache_bytes / (CACHE_EFFICIENCY * OTHER_VENDORS.get(vendor, 1.0) * reached)
    if runtime is Runtime.TRANSFORMERS:
        start = EAGER_SECONDS if token.bits_per_weight > 15 else EAGER_SECONDS_PACKED
        attention = token.layers * token.cached_tokens * EAGER_SECONDS_PER_TOKEN
        return max(token.layers * start, weights + max(cache, attention))  # Python runs ahead while the GPU works
    launch = LAUNCH_SECONDS.get(vendor, LAUNCH_SECONDS[""])
    if token.is_moe:
        launch = max(launch, MOE_LAUNCH_SECONDS)
    return weights + cache + token.layers * launch


def cpu_seconds(token: Token, bandwidth: float) -> float:
    """Seconds on a processor whose RAM has `bandwidth` bytes per second, which must be above 0."""
    return (token.weight_bytes + token.cache_bytes) / (CPU_EFFICIENCY * bandwidth)
