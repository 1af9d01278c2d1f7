"""Where a model lies: on one or several GPUs, partly in RAM, in a shared memory; and the verdict that follows.

A dedicated GPU is used alone where the model fits it, else together with the next largest. What does not fit the GPUs
stays in RAM where the runtime can do that: of a mixture the experts of the first layers (`--n-cpu-moe`), otherwise
whole layers with their part of the cache (`-ngl`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from quantgui.fit.budget import Budget, Memory
from quantgui.fit.demand import Demand, Load
from quantgui.fit.layer_split import LayerStack, most_layers, split_layers, stack_of
from quantgui.fit.runtimes import Site, SiteKind
from quantgui.fit.weights import WeightBytes
from quantgui.types import DeviceLoad, Placement, Runtime, Verdict

RAM = "RAM"
RAM_COMFORTABLE = 0.9
CPU_SITE = Site(SiteKind.CPU)
SHARED_SITE = Site(SiteKind.METAL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, the load it rests on, and where everything lies; `devices` is empty where it does not run."""

    verdict: Verdict
    load: Load
    devices: tuple[DeviceLoad, ...] = ()
    layers_on_gpus: int | None = None  # None: all of them
    experts_in_ram: int = 0

    @property
    def device_need(self) -> int:
        """Bytes on accelerators, or in RAM where there are none."""
        return sum(device.nbytes for device in self.devices if device.name != RAM)


def place(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None = None) -> Outcome:
    """Where `weights` lie under `demand`; `context` replaces that of the settings."""
    if not budget.gpus:
        return _in_ram(weights, demand, budget, context)
    if budget.unified:
        return _shared(weights, demand, budget, context)
    fitting = _on_gpus(weights, demand, budget, context, (Verdict.FITS, Verdict.TIGHT))
    if fitting is not None:
        return fitting
    if demand.rules.can_offload:
        return _offloaded(weights, demand, budget, context)
    return Outcome(Verdict.TOO_LARGE, demand.load(Site(SiteKind.CUDA, len(budget.gpus)), context))


def fits(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None = None) -> bool:
    """Whether the verdict is that it fits; quicker than to place what does not."""
    if budget.gpus and not budget.unified:
        return _on_gpus(weights, demand, budget, context, (Verdict.FITS,)) is not None
    return place(weights, demand, budget, context).verdict is Verdict.FITS


def _on_gpus(
    weights: WeightBytes, demand: Demand, budget: Budget, context: int | None, verdicts: Sequence[Verdict]
) -> Outcome | None:
    """On as few dedicated GPUs as possible, with the first of the verdicts that can be had; None where none can."""
    for verdict in verdicts:
        limits = _limits(demand, budget, verdict)
        for count in range(_fewest(weights, demand, limits), len(limits) + 1):
            if not demand.rules.can_share(demand.model, count):
                continue
            load = demand.load(Site(SiteKind.CUDA, count), context)
            devices = _dealt(weights, demand, load, budget, limits[:count])
            if devices is not None:
                return Outcome(verdict, load, devices)
    return None


def _limits(demand: Demand, budget: Budget, verdict: Verdict) -> list[int]:
    """Bytes that may be used of each GPU."""
    sizes = [gpu.nbytes for gpu in budget.gpus]
    return [demand.rules.comfortable(size) for size in sizes] if verdict is Verdict.FITS else sizes


def _fewest(weights: WeightBytes, demand: Demand, limits: Sequence[int]) -> int:
    """How many GPUs the weights alone need; one more than there are where not even all would do."""
    need, room = weights.nbytes - demand.rules.host_weights(weights), 0
    for count, limit in enumerate(limits, start=1):
        room += limit
        if need <= room:
            return count
    return len(limits) + 1


def describe(outcome: Outcome, weights: WeightBytes, demand: Demand, budget: Budget) -> Placement | None:
    """The placement in words; None where the model does not run at all."""
    if not outcome.devices:
        return None
    total = len(weights.layer_bytes) + 1
    layers = total if outcome.layers_on_gpus is None else outcome.layers_on_gpus
    is_llama = demand.rules.runtime is Runtime.LLAMA_CPP
    counted = is_llama and bool(budget.gpus) and len(weights.layer_bytes) > 0
    return Placement(
        outcome.devices,
        _sentence(outcome, demand, budget, total),
        layers if counted else None,
        total if counted else None,
        outcome.experts_in_ram,
    )


def _sentence(outcome: Outcome, demand: Demand, budget: Budget, total: int) -> str:
    gpus = [device for device in outcome.devices if device.name != RAM]
    if outcome.experts_in_ram:
        return f"Everything on the GPU but the experts of {outcome.experts_in_ram} of {total - 1} layers, in RAM."
    if budget.unified and outcome.verdict is Verdict.OFFLOAD:
        return "More than the GPU may use: the processor computes, unless the limit is raised."
    if outcome.layers_on_gpus is not None:
        if not outcome.layers_on_gpus:
            return "Everything runs from RAM: not one layer fits the GPU."
        where = "the GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs"
        return f"{outcome.layers_on_gpus} of {total} layers on {where}, the rest in RAM."
    if not budget.gpus:
        return "Everything in RAM; the processor computes."
    if budget.unified:
        return "Everything in the memory that processor and GPU share."
    if len(gpus) == 1:
        return f"Everything on one {gpus[0].name}."
    how = "an equal share of every tensor" if demand.rules.splits_tensors else "consecutive layers"
    return f"On {len(gpus)} GPUs, each with {how}."


def _in_ram(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None) -> Outcome:
    load = demand.load(CPU_SITE, context)
    need, capacity = weights.nbytes + load.total, budget.ram_bytes
    verdict = _verdict(need, RAM_COMFORTABLE * capacity, capacity)
    if verdict is Verdict.TOO_LARGE:
        return Outcome(verdict, load)
    return Outcome(verdict, load, (DeviceLoad(RAM, need, capacity, len(weights.layer_bytes) or None),))


def _shared(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None) -> Outcome:
    """In a memory that the GPU shares: beyond what it may use, the limit must be raised or the processor computes."""
    load, (gpu,) = demand.load(SHARED_SITE, context), budget.gpus
    need = weights.nbytes + load.total
    verdict = _verdict(need, demand.rules.comfortable(gpu.nbytes), gpu.nbytes)
    layers = len(weights.layer_bytes) or None
    if verdict is not Verdict.TOO_LARGE:
        return Outcome(verdict, load, (DeviceLoad(gpu.name, need, gpu.nbytes, layers),))
    if need <= budget.ram_bytes:
        return Outcome(Verdict.OFFLOAD, load, (DeviceLoad(RAM, need, budget.ram_bytes, layers),), 0)
    return Outcome(Verdict.TOO_LARGE, load)


def _verdict(need: int, comfortable: float, capacity: int) -> Verdict:
    if need <= comfortable:
        return Verdict.FITS
    return Verdict.TIGHT if need <= capacity else Verdict.TOO_LARGE


def _dealt(
    weights: WeightBytes, demand: Demand, load: Load, budget: Budget, limits: Sequence[int]
) -> tuple[DeviceLoad, ...] | None:
    """The loads of the first GPUs and of the RAM beside them; None where whole layers or equal shares do not fit."""
    host, count = demand.rules.host_weights(weights), len(limits)
    need = weights.nbytes - host + load.kv_bytes
    if need + count * load.per_device > sum(limits):
        return None
    gpus = budget.gpus[:count]
    if count == 1:
        layers = len(weights.layer_bytes) or None
        devices = [DeviceLoad(gpus[0].name, need + load.per_device, gpus[0].nbytes, layers)]
    elif demand.rules.splits_tensors:
        share = -(-need // count) + load.per_device
        if share > min(limits):
            return None
        devices = [DeviceLoad(gpu.name, share, gpu.nbytes) for gpu in gpus]
    else:
        stack = _stack(weights, load, need)
        counts = split_layers(stack, [limit - load.per_device for limit in limits])
        if counts is None:
            return None
        devices = _layer_loads(gpus, limits, counts, stack, load.per_device)
    beside = host + load.host_buffers
    return (*devices, DeviceLoad(RAM, beside, budget.ram_bytes, 0)) if beside else tuple(devices)


def _stack(weights: WeightBytes, load: Load, need: int) -> LayerStack:
    """The layers, each with its part of the cache; behind them what else lies on the GPUs."""
    layers = weights.layer_bytes
    cache = load.kv_bytes // len(layers) if layers else 0
    return stack_of((layer + cache for layer in layers), need - sum(layers) - cache * len(layers))


def _layer_loads(
    gpus: Sequence[Memory], limits: Sequence[int], counts: Sequence[int], stack: LayerStack, per_device: int
) -> list[DeviceLoad]:
    """The loads of GPUs that take so many layers each; what lies behind them goes where there is the most room."""
    held = stack.held(counts)
    emptiest = max(range(len(gpus)), key=lambda index: limits[index] - held[index])
    held[emptiest] += stack.last
    return [
        DeviceLoad(gpu.name, layers + per_device, gpu.nbytes, count or None)
        for gpu, layers, count in zip(gpus, held, counts, strict=True)
    ]


def _offloaded(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None) -> Outcome:
    """As much as fits on the GPUs, the rest in RAM; too large where that does not hold the rest either."""
    load = demand.load(Site(SiteKind.CUDA, len(budget.gpus)), context)
    stack = _stack(weights, load, weights.nbytes - demand.rules.host_weights(weights) + load.kv_bytes)
    limits = _limits(demand, budget, Verdict.FITS)
    outcome = None
    if demand.rules.runtime is Runtime.LLAMA_CPP and any(weights.expert_layer_bytes):
        outcome = _experts_in_ram(weights, demand, budget, load, stack, limits)
    if outcome is None:
        outcome = _layers_in_ram(weights, budget, load, stack, limits)
    return outcome or _all_in_ram(weights, demand, budget, context)


def _experts_in_ram(
    weights: WeightBytes, demand: Demand, budget: Budget, load: Load, stack: LayerStack, limits: Sequence[int]
) -> Outcome | None:
    """The fewest layers whose experts stay in RAM so that everything else fits the GPUs; None where that fails."""
    rooms = [limit - load.per_device for limit in limits]
    removed = (0, *accumulate(weights.expert_layer_bytes))  # by the first so many layers
    for count in range(bisect_left(removed, stack.total - sum(rooms)), len(removed)):
        lighter = _without_experts(stack, removed, count)
        counts = split_layers(lighter, rooms)
        if counts is None:
            continue  # whole layers do not come out even yet
        in_ram = removed[count] + demand.rules.host_weights(weights) + load.host_buffers
        if in_ram > budget.ram_bytes:
            return None
        devices = _layer_loads(budget.gpus, limits, counts, lighter, load.per_device)
        ram = DeviceLoad(RAM, in_ram, budget.ram_bytes)
        return Outcome(Verdict.OFFLOAD, load, (*devices, ram), experts_in_ram=count)
    return None


def _without_experts(stack: LayerStack, removed: Sequence[int], count: int) -> LayerStack:
    """The stack without the experts of its first so many layers."""
    lighter = (end - removed[min(index, count)] for index, end in enumerate(stack.ends))
    return LayerStack(tuple(lighter), stack.last)


def _layers_in_ram(
    weights: WeightBytes, budget: Budget, load: Load, stack: LayerStack, limits: Sequence[int]
) -> Outcome | None:
    """As many whole layers as fit on the GPUs, from the last one on; None where not one does or RAM is too small."""
    counts = most_layers(stack, [max(0, limit - load.per_device) for limit in limits])
    on_gpus = sum(counts)
    kept = stack.tail(on_gpus)
    in_ram = weights.nbytes + load.kv_bytes - kept.total + load.host_buffers
    if not on_gpus or in_ram > budget.ram_bytes:
        return None
    devices = _layer_loads(budget.gpus, limits, counts, kept, load.per_device)
    ram = DeviceLoad(RAM, in_ram, budget.ram_bytes, stack.count - on_gpus)
    return Outcome(Verdict.OFFLOAD, load, (*devices, ram), on_gpus)


def _all_in_ram(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None) -> Outcome:
    load = demand.load(CPU_SITE, context)
    need = weights.nbytes + load.total
    if need > budget.ram_bytes:
        return Outcome(Verdict.TOO_LARGE, demand.load(Site(SiteKind.CUDA, len(budget.gpus)), context))
    return Outcome(Verdict.OFFLOAD, load, (DeviceLoad(RAM, need, budget.ram_bytes, len(weights.layer_bytes)),), 0)
