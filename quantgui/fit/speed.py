"""Tokens per second for one user and the time to the first token, on wherever the layers lie.

Layers on several devices work one after the other, so their times add up; vLLM splits every layer instead and the
devices work at once. Layers in RAM run on the processor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from quantgui.fit.decoding import Token, cpu_seconds, gpu_seconds
from quantgui.types import Accelerator, DeviceLoad, HardwareTarget, Placement, Runtime, SpeedEstimate
from quantgui.units import digits, percent

BAND = (0.7, 1.3)
"""10th and 90th percentile of measured over estimated speed where everything lies on GPUs."""
EAGER_BAND = (0.6, 1.7)
"""Likewise for transformers, which depends on the processor and on the version."""
OFFLOAD_BAND = (0.5, 1.6)
"""With layers in RAM the processor's share is hard to foresee: threads, memory channels, what else runs."""
ASSUMED_RAM_BANDWIDTH = 51.2e9
"""Two channels of DDR4-3200, where a host's RAM bandwidth is not known."""
PROMPT_EFFICIENCY = (0.15, 0.28, 0.45)
"""Share of the dense tensor throughput that reading a prompt reaches: low, likely, high, on workstation and datacenter
GPUs (Llama-3 in llama.cpp with 1,024 and 8,192 tokens)."""
PROMPT_EFFICIENCY_GEFORCE = (0.45, 0.7, 1.0)
"""Likewise on GeForce cards, whose throughput is stated for 32-bit sums, half of what their 8-bit units do."""
GEFORCE = re.compile(r"\b[RG]TX \d0[5-9]0\b")
SYNC_SECONDS = 60e-6
"""Per layer, the two exchanges of tensor parallelism."""
RAM_NAME = "RAM"


@dataclass(frozen=True, slots=True)
class _Share:
    """What one memory holds of what a token reads, in fractions of the whole."""

    weights: float
    cache: float
    layers: float
    gpu: Accelerator | None  # None for RAM
    bandwidth: float

    @property
    def name(self) -> str:
        return RAM_NAME if self.gpu is None else self.gpu.name

    def with_all(self, fraction: float) -> _Share:
        """The same memory with this fraction of everything."""
        return replace(self, weights=fraction, cache=fraction, layers=fraction)

    def part_of(self, token: Token) -> Token:
        """What this memory has of a token."""
        return token.part(self.weights, self.cache, self.layers)


def speed_of(
    active_bytes: int,
    kv_bytes_per_sequence: int,
    bits_per_weight: float,
    is_moe: bool,
    placement: Placement | None,
    hardware: HardwareTarget,
    active_parameters: int,
    prompt_tokens: int,
    *,
    runtime: Runtime = Runtime.LLAMA_CPP,
    layers: int | None = None,
    active_expert_bytes: int = 0,
    expert_layer_bytes: Sequence[int] = (),
) -> SpeedEstimate | None:
    """Decoding speed of one sequence and the time to its first token; None where a bandwidth is not known.

    `active_bytes` are the weights that one token reads (of a mixture the shared ones and the chosen experts, which
    alone are `active_expert_bytes`; all experts of each layer are `expert_layer_bytes`); `kv_bytes_per_sequence` what
    the cache holds when the context is full, of which a prompt of `prompt_tokens`, half the context, fills half.
    `layers` are the model's; without it the placement's.
    `why_no_speed` says what is missing.
    """
    if active_bytes <= 0 or why_no_speed(hardware, placement):
        return None
    of_experts = (active_expert_bytes or active_bytes / 2) / active_bytes
    shares = _shares(placement, hardware, of_experts, expert_layer_bytes)
    if not shares:
        return None
    if layers is None:
        layers = (placement.total_layers or 1) - 1 if placement is not None else 0
    token = Token(active_bytes, kv_bytes_per_sequence / 2, bits_per_weight, layers, is_moe, prompt_tokens)
    seconds = _seconds(token, shares, runtime)
    low, high = _band(shares, runtime)
    first = _first_token(token, active_parameters, prompt_tokens, shares)
    note = _note(token, seconds, shares, hardware, runtime is Runtime.VLLM)
    return SpeedEstimate(1 / seconds, low / seconds, high / seconds, note, *first)


def why_no_speed(hardware: HardwareTarget, placement: Placement | None = None) -> str:
    """Why there is no speed, as a sentence; "" where there is."""
    on_gpu = placement is None or any(not _is_ram(device) for device in placement.devices)
    unknown = [gpu.name for gpu in hardware.accelerators if not gpu.bandwidth]
    if unknown and on_gpu:
        return f"The speed is not estimated: the memory bandwidth of {unknown[0]} is not known."
    if not hardware.accelerators and not hardware.ram_bandwidth:
        return "The speed is not estimated: the bandwidth of the RAM is not known."
    return ""


def _band(shares: Sequence[_Share], runtime: Runtime) -> tuple[float, float]:
    if any(share.gpu is None for share in shares):
        return OFFLOAD_BAND
    return EAGER_BAND if runtime is Runtime.TRANSFORMERS else BAND


def _seconds(token: Token, shares: Sequence[_Share], runtime: Runtime) -> float:
    """Seconds per token over all memories."""
    if runtime is Runtime.VLLM and len(shares) > 1:
        sync = token.layers * SYNC_SECONDS
        return sync + max(_one(share.part_of(token), share, runtime) for share in shares)
    return sum(_one(share.part_of(token), share, runtime) for share in shares)


def _one(token: Token, share: _Share, runtime: Runtime) -> float:
    if share.gpu is None:
        return cpu_seconds(token, share.bandwidth)
    return gpu_seconds(token, share.bandwidth, share.gpu.vendor, runtime)


def _shares(
    placement: Placement | None, hardware: HardwareTarget, of_experts: float, expert_layers: Sequence[int]
) -> list[_Share]:
    """Which memory reads which part of a token's bytes; without a placement all lies on the accelerators.

    `of_experts` is the part of a token's weights that belongs to routed experts.
    """
    if placement is None or not placement.devices:
        return _everything_on(hardware)
    known = list(zip(placement.devices, _places(placement.devices, hardware), strict=True))
    if placement.experts_in_ram and any(device.layers for device in placement.devices):
        gpus = [(device.layers or 0, share) for device, share in known if share.gpu is not None]
        ram = _Share(0.0, 0.0, 0.0, None, hardware.ram_bandwidth or ASSUMED_RAM_BANDWIDTH)
        return _beside_experts(gpus, ram, placement.experts_in_ram, of_experts, expert_layers)
    by_layers = any(device.layers for device in placement.devices)
    amounts = [_amount(device, by_layers) for device in placement.devices]
    total = sum(amounts)
    return [share.with_all(amount / total) for amount, (_, share) in zip(amounts, known, strict=True) if amount]


def _beside_experts(
    gpus: Sequence[tuple[int, _Share]], ram: _Share, in_ram: int, of_experts: float, expert_layers: Sequence[int]
) -> list[_Share]:
    """GPUs with so many consecutive layers each, and RAM with the experts of the first `in_ram` layers.

    The cache and everything but experts stay on the GPUs. Experts are counted by their bytes: layers may have none, as
    the first ones of DeepSeek.
    """
    total = sum(layers for layers, _ in gpus)
    experts = expert_layers if len(expert_layers) == total and any(expert_layers) else (1,) * total
    found, begin = [], 0
    for layers, share in gpus:
        end = begin + layers
        kept = sum(experts[max(begin, in_ram) : end]) / sum(experts)
        found.append(
            replace(share.with_all(layers / total), weights=(1 - of_experts) * layers / total + of_experts * kept)
        )
        begin = end
    return [*found, replace(ram, weights=of_experts * sum(experts[:in_ram]) / sum(experts))]


def _amount(device: DeviceLoad, by_layers: bool) -> int:
    """What a device takes part with: its layers where they are known; RAM that holds none only gives rows of it."""
    if by_layers or (_is_ram(device) and device.layers == 0):
        return device.layers or 0
    return device.nbytes


def _everything_on(hardware: HardwareTarget) -> list[_Share]:
    gpus = hardware.accelerators
    if gpus:
        share = 1 / len(gpus)
        return [_Share(share, share, share, gpu, gpu.bandwidth or 0.0) for gpu in gpus]
    return [_Share(1.0, 1.0, 1.0, None, hardware.ram_bandwidth or ASSUMED_RAM_BANDWIDTH)]


def _is_ram(device: DeviceLoad) -> bool:
    return RAM_NAME in device.name.split()


def _places(devices: Sequence[DeviceLoad], hardware: HardwareTarget) -> list[_Share]:
    """The memory behind each device of a placement: accelerators in their order, RAM by its name."""
    gpus: Iterator[Accelerator] = iter(hardware.accelerators)
    found = []
    for device in devices:
        gpu = None if _is_ram(device) else next(gpus, None)
        bandwidth = gpu.bandwidth if gpu is not None and gpu.bandwidth else hardware.ram_bandwidth
        found.append(_Share(0.0, 0.0, 0.0, gpu, bandwidth or ASSUMED_RAM_BANDWIDTH))
    return found


def _first_token(
    token: Token, parameters: int, prompt_tokens: int, shares: Sequence[_Share]
) -> tuple[float | None, float | None, float | None]:
    """Seconds to the first token, likely, low and high: the prompt's arithmetic plus one pass over the weights.

    Every token multiplies each active parameter once and adds once: 2 * parameters * tokens operations. None where a
    device's throughput is not known or layers lie in RAM.
    """
    once = sum(token.weight_bytes * share.weights / share.bandwidth for share in shares)
    slow, likely, fast = once, once, once
    for share in shares:
        if share.gpu is None or not share.gpu.fp16_flops or parameters <= 0:
            return None, None, None
        seconds = 2 * parameters * prompt_tokens * share.weights / share.gpu.fp16_flops
        low, middle, high = PROMPT_EFFICIENCY_GEFORCE if GEFORCE.search(share.gpu.name) else PROMPT_EFFICIENCY
        slow, likely, fast = slow + seconds / low, likely + seconds / middle, fast + seconds / high
    return likely, fast, slow


def _note(token: Token, seconds: float, shares: Sequence[_Share], hardware: HardwareTarget, at_once: bool) -> str:
    slowest = max(shares, key=lambda share: share.weights / share.bandwidth)
    reached = (token.weight_bytes + token.cache_bytes) / seconds
    if len(shares) == 1:
        whose = "the RAM" if slowest.gpu is None else f"the memory of {slowest.name}"
        sentence = (
            f"Limited by {whose}: about {percent(reached / slowest.bandwidth)} of its "
            f"{digits(slowest.bandwidth / 1e9)} GB/s are reached."
        )
    elif at_once:
        sentence = "All GPUs work on every layer at once and exchange their results."
    else:
        sentence = f"The devices work one after the other; {slowest.name} takes the largest part of the time."
    if any(share.gpu is None for share in shares) and not hardware.ram_bandwidth:
        sentence += f" The RAM's bandwidth is not known; {digits(ASSUMED_RAM_BANDWIDTH / 1e9)} GB/s are assumed."
    return sentence
