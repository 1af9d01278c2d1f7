"""Tokens per second and the time to the first token, from memory bandwidth.

Generating a token reads every active weight and the KV cache once, so bandwidth / bytes is the limit; what runtimes
reach of it was measured. Efficiency falls with the bits per weight, because packed weights must be unpacked: the table
of llama.cpp's quantize tool shows 468 GB/s for F16, 435 for Q8_0 and 354 for Q4_K_M of Llama-3.1-8B on one device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quantgui.types import Accelerator, DeviceLoad, HardwareTarget, Placement, SpeedEstimate
from quantgui.units import digits, percent

DENSE_EFFICIENCY = 0.62
"""Share of the bandwidth that single-user decoding reaches: median of 185 reports of dense models, most at 4 bits."""
DENSE_BAND = (0.30 / 0.62, 0.87 / 0.62)
"""The reports' 10th and 90th percentile over their median."""
MOE_EFFICIENCY = 0.34
"""Median of 62 reports of mixtures of experts, by active bytes."""
MOE_BAND = (0.24 / 0.34, 0.40 / 0.34)
EFFECTIVE_GB_S = ((4.894, 354.0), (8.501, 435.0), (16.0, 468.0))
"""Bits per weight and effective bandwidth of one device (README of llama.cpp's quantize tool, Llama-3.1-8B)."""
REFERENCE_BITS = 4.894
"""Q4_K_M, the type of most reports behind the medians."""
ASSUMED_RAM_BANDWIDTH = 51.2e9
"""Two channels of DDR4-3200, where a host's RAM bandwidth is not known."""
COMPUTE_EFFICIENCY = (0.3, 0.4, 0.5)
"""Share of a device's dense tensor throughput that reading a prompt reaches: low, likely, high."""
RAM_NAME = "RAM"


@dataclass(frozen=True, slots=True)
class _Share:
    """What one memory reads per token."""

    name: str
    fraction: float
    bandwidth: float


def efficiency(bits_per_weight: float, is_moe: bool) -> float:
    """Share of the bandwidth that decoding is expected to reach."""
    base = MOE_EFFICIENCY if is_moe else DENSE_EFFICIENCY
    return min(0.95, base * _effective(bits_per_weight) / _effective(REFERENCE_BITS))


def decode_seconds(bytes_read: float, bits_per_weight: float, is_moe: bool, bandwidth: float) -> float:
    """Seconds per token where everything lies in one memory of `bandwidth` bytes per second."""
    return bytes_read / (efficiency(bits_per_weight, is_moe) * bandwidth)


def speed_of(
    active_bytes: int,
    kv_bytes_per_sequence: int,
    bits_per_weight: float,
    is_moe: bool,
    placement: Placement | None,
    hardware: HardwareTarget,
    active_parameters: int,
    prompt_tokens: int,
) -> SpeedEstimate | None:
    """Decoding speed of one sequence and the time to its first token; None where a bandwidth is not known.

    `active_bytes` are the weights that one token reads (of a mixture: the shared ones and the chosen experts),
    `kv_bytes_per_sequence` what the cache holds when the context is full; half of it is read, as for a prompt of
    `prompt_tokens` = half the context. Layers on several devices run one after the other, so their times add up;
    `why_no_speed` says what is missing.
    """
    shares = _shares(placement, hardware)
    if active_bytes <= 0 or not shares or why_no_speed(hardware, placement):
        return None
    read = active_bytes + kv_bytes_per_sequence / 2
    seconds = sum(decode_seconds(read * s.fraction, bits_per_weight, is_moe, s.bandwidth) for s in shares)
    low, high = MOE_BAND if is_moe else DENSE_BAND
    first = _first_token(active_bytes, active_parameters, prompt_tokens, hardware, shares)
    return SpeedEstimate(1 / seconds, low / seconds, high / seconds, _note(bits_per_weight, is_moe, shares), *first)


def why_no_speed(hardware: HardwareTarget, placement: Placement | None = None) -> str:
    """Why there is no speed, as a sentence; "" where there is."""
    unknown = [gpu.name for gpu in hardware.accelerators if gpu.bandwidth is None]
    if unknown:
        return f"The speed is not estimated: the memory bandwidth of {unknown[0]} is not known."
    if not hardware.accelerators and hardware.ram_bandwidth is None:
        return "The speed is not estimated: the bandwidth of the RAM is not known."
    return ""


def _effective(bits_per_weight: float) -> float:
    """Effective bandwidth at so many bits, linear between the measured points and constant beyond them."""
    (low_bits, low), *rest = EFFECTIVE_GB_S
    if bits_per_weight <= low_bits:
        return low
    for high_bits, high in rest:
        if bits_per_weight <= high_bits:
            return low + (high - low) * (bits_per_weight - low_bits) / (high_bits - low_bits)
        low_bits, low = high_bits, high
    return low


def _shares(placement: Placement | None, hardware: HardwareTarget) -> list[_Share]:
    """Which memory reads which part of a token's bytes."""
    if placement is None or not placement.devices:
        gpus = hardware.accelerators
        if gpus:
            return [_Share(gpu.name, 1 / len(gpus), gpu.bandwidth or 0.0) for gpu in gpus]
        return [_Share(RAM_NAME, 1.0, hardware.ram_bandwidth or 0.0)]
    weights = [float(d.nbytes if d.layers is None else d.layers) for d in placement.devices]
    total = sum(weights)
    if not total:
        return []
    bandwidths = _bandwidths(placement.devices, hardware)
    return [
        _Share(device.name, weight / total, bandwidth)
        for device, weight, bandwidth in zip(placement.devices, weights, bandwidths, strict=True)
        if weight
    ]


def _bandwidths(devices: Sequence[DeviceLoad], hardware: HardwareTarget) -> list[float]:
    """Bandwidth of each memory of a placement; accelerators in their order, RAM by its name."""
    gpus: Iterator[Accelerator] = iter(hardware.accelerators)
    found = []
    for device in devices:
        gpu = None if RAM_NAME in device.name else next(gpus, None)
        if gpu is not None and gpu.bandwidth is not None:
            found.append(gpu.bandwidth)
        else:
            found.append(hardware.ram_bandwidth or ASSUMED_RAM_BANDWIDTH)
    return found


def _first_token(
    active_bytes: int, parameters: int, prompt_tokens: int, hardware: HardwareTarget, shares: Sequence[_Share]
) -> tuple[float | None, float | None, float | None]:
    """Seconds to the first token, likely, low and high: the prompt's arithmetic plus one pass over the weights."""
    flops = [gpu.fp16_flops for gpu in hardware.accelerators]
    known = [value for value in flops if value]
    if not known or len(known) != len(flops) or any(RAM_NAME in share.name for share in shares):
        return None, None, None
    once = sum(active_bytes * share.fraction / share.bandwidth for share in shares)
    slow, likely, fast = (
        2 * parameters * prompt_tokens / (min(known) * fraction) + once for fraction in COMPUTE_EFFICIENCY
    )
    return likely, fast, slow


def _note(bits_per_weight: float, is_moe: bool, shares: Sequence[_Share]) -> str:
    kind = "mixtures of experts" if is_moe else "dense models"
    reached = percent(efficiency(bits_per_weight, is_moe))
    slowest = max(shares, key=lambda share: share.fraction / share.bandwidth)
    gigabytes = digits(slowest.bandwidth / 1e9)
    return (
        f"Limited by the {gigabytes} GB/s of {slowest.name}; about {reached} of it is reached, as measured for {kind}."
    )
