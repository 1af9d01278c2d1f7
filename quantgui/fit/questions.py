"""The questions people ask the other way round: given a row or a device, what is the most, the least, the best?

Each answer is a sentence and the data behind it. `corrections` are what real runs taught (`fit.corrections`); answers
rest on the same estimates as the table then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from quantgui.checkpoint.architectures import tensor_shapes
from quantgui.checkpoint.catalogue import CatalogueEntry, catalogue
from quantgui.fit.budget import budget_of
from quantgui.fit.corrections import Corrections
from quantgui.fit.estimate import estimate_all, estimate_gguf, estimate_table
from quantgui.fit.quality_loss import SLIGHT, quality_loss, severity
from quantgui.fit.recommendation import SERVERS, Recommendation, recommend
from quantgui.fit.rules_of_thumb import rule_of_thumb
from quantgui.fit.settings import MAX_BATCH, FitSettings
from quantgui.hardware.catalogue import CatalogueDevice, devices, target
from quantgui.types import Checkpoint, HardwareTarget, MemoryEstimate, Runtime, UserError, Verdict
from quantgui.units import count, digits, memory
from quantgui.units import parameters as parameter_count

COMPARED = (("RTX 3060", 1), ("RTX 4090", 1), ("RTX 4090", 2), ("A100", 1), ("Apple M4", 1), ("Snapdragon 8 Elite", 1))
"""What most people have or rent, beside this machine."""
FEWEST_BITS = 4.0
"""A catalogue model counts as fitting where at least 4 bits per weight do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A sentence and its number; `value` is None where there is no answer. `rows` are the estimates it rests on."""

    sentence: str
    value: float | None = None
    rows: tuple[MemoryEstimate, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """The smallest device that runs a row; `hardware` is None where none does."""

    sentence: str
    hardware: HardwareTarget | None = None
    estimate: MemoryEstimate | None = None


@dataclass(frozen=True, slots=True)
class ModelCandidate:
    """A catalogue model that fits, with its recommended row."""

    model_id: str
    parameters: int
    estimate: MemoryEstimate
    sentence: str


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One device of the comparison. `estimate` and `recommendation` are None where nothing runs."""

    hardware: HardwareTarget
    estimates: tuple[MemoryEstimate, ...]
    recommendation: Recommendation | None
    estimate: MemoryEstimate | None
    rule_of_thumb: str


def longest_context(estimate: MemoryEstimate) -> Answer:
    """The longest context of a row on its hardware."""
    if estimate.longest_context is None:
        return Answer("The longest context is not known, because the KV cache is not estimated.")
    if estimate.longest_context == 0:
        return Answer(f"No context fits beside the weights of {estimate.scheme_id}.", 0, (estimate,))
    tokens = count(estimate.longest_context)
    return Answer(f"{estimate.scheme_id} fits with up to {tokens} tokens.", estimate.longest_context, (estimate,))


def most_slots(
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings,
    scheme_id: str,
    corrections: Corrections | None = None,
) -> Answer:
    """How many sequences of the context of `settings` fit at once under one row."""

    def row_with(batch: int) -> MemoryEstimate:
        return _row(checkpoint, hardware, replace(settings, batch=batch), scheme_id, corrections)

    def fits(batch: int) -> bool:
        return row_with(batch).verdict is Verdict.FITS

    if not fits(1):
        return Answer(f"Not even one sequence of {count(settings.context)} tokens fits with {scheme_id}.", 0)
    low, high = 1, 2
    while high < MAX_BATCH and fits(high):
        low, high = high, 2 * high
    high = min(high, MAX_BATCH + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    row = row_with(low)
    sequences = "1 sequence" if low == 1 else f"{count(low)} sequences"
    return Answer(f"{sequences} of {count(settings.context)} tokens fit at once with {scheme_id}.", low, (row,))


def smallest_device(
    checkpoint: Checkpoint,
    settings: FitSettings,
    scheme_id: str,
    wanted: Callable[[CatalogueDevice], bool] | None = None,
    corrections: Corrections | None = None,
) -> DeviceAnswer:
    """The catalogue device with the least memory on which a row fits; `wanted` narrows the choice."""
    least: int | None = None
    for device, size in _by_memory(wanted):
        hardware = target(device.name, memory_gb=size)
        if least is not None and budget_of(hardware).primary_bytes < least:
            continue
        row = _row(checkpoint, hardware, settings, scheme_id, corrections)
        least = row.total_bytes
        if row.verdict is Verdict.FITS:
            sentence = f"{hardware.name} is the smallest in the catalogue that runs {scheme_id}: {row.reason}"
            return DeviceAnswer(sentence, hardware, row)
    return DeviceAnswer(f"No single device of the catalogue runs {scheme_id}; it needs {memory(least)}.")


def best_precision_for_speed(estimates: Sequence[MemoryEstimate], tokens_per_second: float) -> Answer:
    """The row with the least loss that generates at least so many tokens per second."""
    if not tokens_per_second > 0:
        raise UserError(f"{tokens_per_second} tokens per second are no goal.", hint="Give a number above 0.")
    known = [row for row in estimates if row.speed is not None and row.verdict is not Verdict.TOO_LARGE]
    if not known:
        return Answer("No speed is estimated for this hardware.")
    fast = [row for row in known if row.speed is not None and row.speed.tokens_per_second >= tokens_per_second]
    if not fast:
        best = max(known, key=lambda row: row.speed.tokens_per_second if row.speed else 0.0)
        reached = best.speed.tokens_per_second if best.speed else 0.0
        return Answer(f"Nothing is that fast; {best.scheme_id} reaches about {digits(reached, 2)} tokens/s.", reached)
    row = min(fast, key=lambda row: (_loss(row), -row.bits_per_weight))
    reached = row.speed.tokens_per_second if row.speed else 0.0
    return Answer(f"{row.scheme_id}, at about {digits(reached, 2)} tokens/s.", reached, (row,))


def models_that_fit(
    hardware: HardwareTarget,
    settings: FitSettings,
    entries: tuple[CatalogueEntry, ...] | None = None,
    corrections: Corrections | None = None,
) -> Iterator[ModelCandidate]:
    """Models of the catalogue, or of `entries`, that fit with at least 4 bits and a slight loss, the biggest first.

    An iterator, because reading configs into tensors takes seconds in all: a window lets it run beside itself, takes as
    many as it shows and stops when it likes.
    """
    room = budget_of(hardware).primary_bytes
    found = 0
    for entry, parameters in _by_size(catalogue() if entries is None else entries):
        if parameters * FEWEST_BITS / 8 > room or parameters == found:  # the same model under another name
            continue
        try:
            checkpoint = entry.checkpoint()
            rows = estimate_gguf(checkpoint, hardware, settings, corrections=corrections)
            rows = rows or estimate_all(checkpoint, hardware, settings, corrections)
        except UserError:
            continue
        rows = [row for row in rows if row.verdict is Verdict.FITS]
        rows = [row for row in rows if row.bits_per_weight >= FEWEST_BITS and _loss(row) <= SLIGHT]
        chosen = recommend(rows, hardware)
        row = next((row for row in rows if chosen is not None and row.scheme_id == chosen.scheme_id), None)
        if row is not None:
            found = parameters
            size = parameter_count(parameters)
            sentence = f"{entry.id} ({size} parameters) fits with {row.scheme_id}: {row.reason}"
            yield ModelCandidate(entry.id, parameters, row, sentence)


def default_targets(this_machine: HardwareTarget | None = None) -> tuple[HardwareTarget, ...]:
    """What is compared by default: this machine, where given, and the devices most people know."""
    known = tuple(target(name, number) for name, number in COMPARED)
    return known if this_machine is None else (this_machine, *known)


def compare(
    checkpoint: Checkpoint,
    targets: Sequence[HardwareTarget],
    settings: FitSettings | None = None,
    corrections: Corrections | None = None,
) -> tuple[ComparisonRow, ...]:
    """The recommended row of one model on each of several devices, with the rule of thumb beside it.

    Where no runtime is asked for, servers are estimated in vLLM, which is what runs there.
    """
    settings = settings or FitSettings()
    return tuple(_compared(checkpoint, hardware, settings, corrections) for hardware in targets)


def _compared(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings, corrections: Corrections | None
) -> ComparisonRow:
    if settings.runtime is None and hardware.kind in SERVERS:
        settings = replace(settings, runtime=Runtime.VLLM)
    rows = estimate_table(checkpoint, hardware, settings, corrections)
    chosen = recommend(rows, hardware)
    row = next((row for row in rows if chosen is not None and row.scheme_id == chosen.scheme_id), None)
    return ComparisonRow(hardware, rows, chosen, row, rule_of_thumb(hardware, checkpoint.parameters))


def _row(
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings,
    scheme_id: str,
    corrections: Corrections | None,
) -> MemoryEstimate:
    rows = estimate_table(checkpoint, hardware, settings, corrections)
    found = next((row for row in rows if row.scheme_id == scheme_id), None)
    if found is None:
        raise UserError(f"There is no precision “{scheme_id}” for this model.")
    return found


def _loss(row: MemoryEstimate) -> int:
    return severity(row.quality or quality_loss(row.scheme_id, row.bits_per_weight))


def _by_memory(wanted: Callable[[CatalogueDevice], bool] | None) -> list[tuple[CatalogueDevice, int]]:
    """Devices and their sizes, least usable memory first, of equal ones the faster first."""
    found = [(d, size) for d in devices() if wanted is None or wanted(d) for size in d.memory_gb]
    return sorted(found, key=lambda pair: (_usable(*pair), -pair[0].bandwidth_gb_s))


def _usable(device: CatalogueDevice, size: int) -> int:
    return budget_of(target(device.name, memory_gb=size)).primary_bytes


@cache
def _by_size(entries: tuple[CatalogueEntry, ...]) -> tuple[tuple[CatalogueEntry, int], ...]:
    """Entries whose tensors are known with their parameters, most first; about two seconds for the catalogue."""
    sized = []
    for entry in entries:
        if not entry.supported:
            continue
        try:
            shapes = tensor_shapes(entry.config)
        except UserError:
            continue
        sized.append((entry, sum(math.prod(shape) for _, shape in shapes)))
    return tuple(sorted(sized, key=lambda pair: -pair[1]))
