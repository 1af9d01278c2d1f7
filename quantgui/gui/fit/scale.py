"""The axis of the fit chart: where it ends, its ticks, and which limits stand on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantgui.fit.budget import Budget
from quantgui.gui import formatting

FAR, FAR_POOLED = 4.0, 1.2
"""A limit this many times beyond the longest bar is named at the edge: drawing it would shrink the bars to nothing.
The second limit, accelerators and RAM together, only matters where a bar comes near it."""
STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Limit:
    """A line across the chart, or a name at its right edge where `is_far`."""

    name: str
    nbytes: int
    is_far: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """`end` in bytes; ticks as positions in bytes with their words."""

    end: float
    unit: str
    ticks: tuple[tuple[float, str], ...]
    limits: tuple[Limit, ...]


def limits_of(budget: Budget) -> list[tuple[str, int]]:
    """The memories a model could live in, smallest first."""
    name = budget.primary_name
    found = [(f"{name[:1].upper()}{name[1:]}", budget.primary_bytes)]
    if budget.pooled_bytes > budget.primary_bytes:
        found.append(("With RAM", budget.pooled_bytes))
    return found


def scale_for(totals: Sequence[int], limits: Sequence[tuple[str, int]], max_ticks: int = 6) -> Scale:
    """A scale on which every bar is seen, and every limit that is not too far away."""
    longest = max(totals, default=1) or 1
    near = [nbytes for i, (_, nbytes) in enumerate(limits) if nbytes <= longest * (FAR_POOLED if i else FAR)]
    needed = max([longest, *near]) * 1.02
    unit_bytes, unit = formatting.memory_axis(needed)
    step = _step(needed / unit_bytes, max_ticks)
    ticks = [(i * step * unit_bytes, f"{i * step:g}") for i in range(math.floor(needed / unit_bytes / step) + 1)]
    placed = tuple(Limit(name, nbytes, nbytes > needed) for name, nbytes in limits)
    return Scale(needed, unit, tuple(ticks), placed)


def _step(span: float, max_ticks: int) -> float:
    rough = span / max_ticks
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return next(step * magnitude for step in STEPS if step * magnitude >= rough * 0.999)
