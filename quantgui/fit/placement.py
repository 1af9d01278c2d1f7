"""Where a model lies: on one or several GPUs, partly in RAM, in a shared memory; and the verdict that follows.

A dedicated GPU is used alone where the model fits it, else together with the next largest. What does not fit the GPUs
stays in RAM where the runtime can do that: of a mixture the experts of the first layers (`--n-cpu-moe`), otherwise
whole layers with their part of the cache (`-ngl`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantgui.fit.budget import Budget, Memory
from quantgui.fit.demand import Demand, Load
from quantgui.fit.layer_split import most_layers, split_layers
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
    fitting = on_gpus(weights, demand, budget, context)
    if fitting is not None:
        return fitting
    if demand.rules.can_offload:
        return _offloaded(weights, demand, budget, context)
    return Outcome(Verdict.TOO_LARGE, demand.load(Site(SiteKind.CUDA, len(budget.gpus)), context))


def on_gpus(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None = None) -> Outcome | None:
    """On as few dedicated GPUs as possible, with a margin where that can be; None where not even all hold it."""
    rules, gpus = demand.rules, budget.gpus
    need = weights.nbytes - rules.host_weights(weights)
    for verdict in (Verdict.FITS, Verdict.TIGHT):
        room = 0
        for count in range(1, len(gpus) + 1):
            memory = gpus[count - 1].nbytes
            room += rules.comfortable(memory) if verdict is Verdict.FITS else memory
            load = demand.load(Site(SiteKind.CUDA, count), context)
            if need + load.kv_bytes + count * load.per_device > room:
                continue
            chosen = gpus[:count]
            limits = [rules.comfortable(g.nbytes) if verdict is Verdict.FITS else g.nbytes for g in chosen]
            devices = _dealt(weights, demand, load, chosen, limits, budget.ram_bytes)
            if devices is not None:
                return Outcome(verdict, load, devices)
    return None


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
    weights: WeightBytes, demand: Demand, load: Load, gpus: Sequence[Memory], limits: Sequence[int], ram_bytes: int
) -> tuple[DeviceLoad, ...] | None:
    """The loads of the GPUs and of the RAM beside them; None where whole layers or equal shares do not fit."""
    host = demand.rules.host_weights(weights)
    need = weights.nbytes - host + load.kv_bytes
    if len(gpus) == 1:
        devices = [DeviceLoad(gpus[0].name, need + load.per_device, gpus[0].nbytes, len(weights.layer_bytes) or None)]
    elif demand.rules.splits_tensors:
        share = -(-need // len(gpus)) + load.per_device
        if share > min(limits):
            return None
        devices = [DeviceLoad(gpu.name, share, gpu.nbytes) for gpu in gpus]
    else:
        sizes, last = _layer_sizes(weights, load, need)
        counts = split_layers(sizes, last, [limit - load.per_device for limit in limits])
        if counts is None:
            return None
        devices = _layer_loads(gpus, counts, sizes, last, load.per_device, need)
    beside = host + load.host_buffers
    return (*devices, DeviceLoad(RAM, beside, ram_bytes, 0)) if beside else tuple(devices)


def _layer_sizes(weights: WeightBytes, load: Load, need: int) -> tuple[list[int], int]:
    """Bytes of each layer with its part of the cache, and of what lies behind the layers."""
    count = len(weights.layer_bytes)
    if not count:
        return [], need
    cache = load.kv_bytes // count
    sizes = [layer + cache for layer in weights.layer_bytes]
    return sizes, need - sum(sizes)


def _layer_loads(
    gpus: Sequence[Memory], counts: Sequence[int], sizes: Sequence[int], last: int, per_device: int, need: int
) -> list[DeviceLoad]:
    begin, devices, left = 0, [], need
    for gpu, count in zip(gpus, counts, strict=True):
        held = sum(sizes[begin : begin + count])
        begin += count
        left -= held
        devices.append(DeviceLoad(gpu.name, held + per_device, gpu.nbytes, count or None))
    fits_last = max(range(len(gpus)), key=lambda i: devices[i].capacity_bytes - devices[i].nbytes)
    end = devices[fits_last]
    devices[fits_last] = DeviceLoad(end.name, end.nbytes + left, end.capacity_bytes, end.layers)
    return devices


def _offloaded(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None) -> Outcome:
    """As much as fits on the GPUs, the rest in RAM; too large where that does not hold the rest either."""
    load = demand.load(Site(SiteKind.CUDA, len(budget.gpus)), context)
    need = weights.nbytes - demand.rules.host_weights(weights) + load.kv_bytes
    sizes, last = _layer_sizes(weights, load, need)
    rooms = [demand.rules.comfortable(gpu.nbytes) - load.per_device for gpu in budget.gpus]
    outcome = _experts_in_ram(weights, demand, budget, load, sizes, last, rooms)
    if outcome is None:
        outcome = _layers_in_ram(weights, demand, budget, load, sizes, rooms)
    if outcome is None:
        outcome = _all_in_ram(weights, demand, budget, context)
    return outcome


def _experts_in_ram(
    weights: WeightBytes,
    demand: Demand,
    budget: Budget,
    load: Load,
    sizes: Sequence[int],
    last: int,
    rooms: Sequence[int],
) -> Outcome | None:
    """The fewest layers whose experts stay in RAM so that everything else fits the GPUs."""
    experts = weights.expert_layer_bytes
    if demand.rules.runtime is not Runtime.LLAMA_CPP or not any(experts):
        return None
    low, high = 1, len(experts) + 1
    while low < high:
        middle = (low + high) // 2
        if split_layers(_without_experts(sizes, experts, middle), last, rooms) is None:
            low = middle + 1
        else:
            high = middle
    if low > len(experts):
        return None
    lighter = _without_experts(sizes, experts, low)
    counts = split_layers(lighter, last, rooms)
    assert counts is not None
    in_ram = sum(experts[:low]) + demand.rules.host_weights(weights) + load.host_buffers
    if in_ram > budget.ram_bytes:
        return None
    need = sum(lighter) + last
    devices = _layer_loads(budget.gpus, counts, lighter, last, load.per_device, need)
    ram = DeviceLoad(RAM, in_ram, budget.ram_bytes)
    return Outcome(Verdict.OFFLOAD, load, (*devices, ram), experts_in_ram=low)


def _without_experts(sizes: Sequence[int], experts: Sequence[int], count: int) -> list[int]:
    return [size - (experts[index] if index < count else 0) for index, size in enumerate(sizes)]


def _layers_in_ram(
    weights: WeightBytes, demand: Demand, budget: Budget, load: Load, sizes: Sequence[int], rooms: Sequence[int]
) -> Outcome | None:
    """As many whole layers as fit on the GPUs, from the last one on; None where not one does or RAM is too small."""
    counts = most_layers(sizes, [max(room, 0) for room in rooms])
    on_gpus = sum(counts)
    if not on_gpus:
        return None
    kept = list(sizes[len(sizes) - on_gpus :])
    devices = _layer_loads(budget.gpus, counts, kept, 0, load.per_device, sum(kept))
    in_ram = weights.nbytes + load.kv_bytes - sum(kept) + load.host_buffers
    if in_ram > budget.ram_bytes:
        return None
    ram = DeviceLoad(RAM, in_ram, budget.ram_bytes, len(sizes) - on_gpus)
    return Outcome(Verdict.OFFLOAD, load, (*devices, ram), on_gpus)


def _all_in_ram(weights: WeightBytes, demand: Demand, budget: Budget, context: int | None) -> Outcome:
    load = demand.load(CPU_SITE, context)
    need = weights.nbytes + load.total
    if need > budget.ram_bytes:
        return Outcome(Verdict.TOO_LARGE, demand.load(Site(SiteKind.CUDA, len(budget.gpus)), context))
    return Outcome(Verdict.OFFLOAD, load, (DeviceLoad(RAM, need, budget.ram_bytes, len(weights.layer_bytes)),), 0)
