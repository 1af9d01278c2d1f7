"""The longest context with which a row fits the memory it should run from."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable

from quantgui.fit.budget import Budget
from quantgui.fit.demand import Demand
from quantgui.fit.placement import CPU_SITE, RAM_COMFORTABLE, SHARED_SITE, place
from quantgui.fit.runtimes import Site, SiteKind
from quantgui.fit.settings import MAX_CONTEXT
from quantgui.fit.weights import WeightBytes
from quantgui.types import Verdict

CONTEXT_STEP = 256
"""Contexts are told in steps of so many tokens."""
MOST_STEPS = MAX_CONTEXT // CONTEXT_STEP
_FIRST_STEPS = (1, 32, 1024, MOST_STEPS)


class Longest:
    """Finds the longest context of rows that share a demand and a budget: what one row looked up serves the next."""

    def __init__(self, demand: Demand, budget: Budget) -> None:
        self._demand, self._budget = demand, budget
        self._site, self._limit = _site_and_limit(demand, budget)
        self._known: list[tuple[int, int]] = []  # (bytes beside the weights, steps), ascending

    def context(self, weights: WeightBytes) -> int | None:
        """Tokens per sequence with which the row fits, a multiple of 256; 0 where not even 256 do.

        None where the KV cache is not known. What a model was trained for is not a limit here.
        """
        if self._demand.model.cache is None:
            return None
        in_ram = self._demand.rules.host_weights(weights) if self._site.kind is SiteKind.CUDA else 0
        steps = self._most_steps(int(self._limit) - weights.nbytes + in_ram)
        if self._site.devices > 1:  # whole layers or equal shares may not come out even, and fewer GPUs need less
            steps = _nearest(steps, lambda tried: self._fits(weights, tried))
        return steps * CONTEXT_STEP

    def _fits(self, weights: WeightBytes, steps: int) -> bool:
        return place(weights, self._demand, self._budget, steps * CONTEXT_STEP).verdict is Verdict.FITS

    def _most_steps(self, room: int) -> int:
        """The most steps whose cache and buffers stay within `room`: by interpolation, since they grow in lines."""
        if not self._known:
            for steps in _FIRST_STEPS:
                self._look_up(steps)
        turn = 0
        while True:
            place_of = bisect_right(self._known, (room, MOST_STEPS + 1))
            low = self._known[place_of - 1] if place_of else (0, 0)
            if place_of == len(self._known):
                return low[1]
            high = self._known[place_of]
            gap = high[1] - low[1]
            if gap <= 1:
                return low[1]
            turn += 1
            forward = gap // 2 if turn % 3 == 0 else (room - low[0]) * gap // max(1, high[0] - low[0])
            self._look_up(low[1] + min(max(forward, 1), gap - 1))

    def _look_up(self, steps: int) -> None:
        load = self._demand.load(self._site, steps * CONTEXT_STEP)
        beside = load.total - (load.host_buffers if self._site.kind is SiteKind.CUDA else 0)
        insort(self._known, (beside, steps))


def _site_and_limit(demand: Demand, budget: Budget) -> tuple[Site, float]:
    """Where a row should run, and how many bytes it may use there."""
    if not budget.gpus:
        return CPU_SITE, RAM_COMFORTABLE * budget.ram_bytes
    limit = sum(demand.rules.comfortable(gpu.nbytes) for gpu in budget.gpus)
    return (SHARED_SITE if budget.unified else Site(SiteKind.CUDA, len(budget.gpus))), limit


def _nearest(guess: int, fits: Callable[[int], bool]) -> int:
    """The largest number that fits, searched from `guess` on in growing strides."""
    low, high, stride = 0, MOST_STEPS + 1, 1
    if guess and fits(guess):
        low = guess
        while low + stride < high and fits(low + stride):
            low, stride = low + stride, 2 * stride
        high = min(high, low + stride)
    else:
        high = max(guess, 1)
        while high - stride > 0 and not fits(high - stride):
            high, stride = high - stride, 2 * stride
        low = max(0, high - stride)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
