"""The longest context with which a row fits the memory it should run from."""

from __future__ import annotations

from bisect import bisect_right, insort

from quantgui.fit.budget import Budget
from quantgui.fit.demand import Demand
from quantgui.fit.placement import CPU_SITE, RAM_COMFORTABLE, SHARED_SITE, fits
from quantgui.fit.runtimes import Site, SiteKind
from quantgui.fit.settings import MAX_CONTEXT
from quantgui.fit.weights import WeightBytes

CONTEXT_STEP = 256
"""Contexts are told in steps of so many tokens."""
MOST_STEPS = MAX_CONTEXT // CONTEXT_STEP
_FIRST_STEPS = (1, 32, 1024, MOST_STEPS)


class Longest:
    """Finds the longest context of rows that share a demand and a budget: what one row looked up serves the next.

    On several GPUs whole layers may not come out even: up to one layer per GPU is then given away.
    """

    def __init__(self, demand: Demand, budget: Budget) -> None:
        self._demand, self._budget = demand, budget
        self._site, self._limit = _site_and_limit(demand, budget)
        self._known: dict[int, list[tuple[int, int]]] = {}  # by number of layers: (bytes needed, steps), ascending
        self._contexts: dict[tuple[int, int], int] = {}  # by bytes on the GPUs and of the largest layer

    def context(self, weights: WeightBytes) -> int | None:
        """Tokens per sequence with which the row fits, a multiple of 256; 0 where not even 256 do.

        None where the KV cache is not known. What a model was trained for is a limit of encoders alone: they have a
        position of its own for each token.
        """
        model = self._demand.model
        if model.cache is None or model.cache.is_empty:
            return model.trained_context if model.cache else None
        on_site = weights.nbytes
        if self._site.kind is SiteKind.CUDA:
            on_site -= self._demand.rules.host_weights(weights)
        key = (on_site, max(weights.layer_bytes, default=0))
        if key not in self._contexts:
            several = self._site.devices > 1
            steps = self._on_several(weights) if several else self._most_steps(int(self._limit) - on_site, 0)
            self._contexts[key] = steps * CONTEXT_STEP
        return self._contexts[key]

    def _on_several(self, weights: WeightBytes) -> int:
        room = int(self._limit) - weights.nbytes + self._demand.rules.host_weights(weights)
        layers = 0 if self._demand.rules.splits_tensors else len(weights.layer_bytes)
        if layers:
            room -= (self._site.devices - 1) * max(weights.layer_bytes)
        steps = self._most_steps(room, layers)
        if steps and not fits(weights, self._demand, self._budget, steps * CONTEXT_STEP):
            steps = 0
        asked = self._demand.settings.context // CONTEXT_STEP
        return asked if steps < asked and fits(weights, self._demand, self._budget) else steps

    def _most_steps(self, room: int, layers: int) -> int:
        """The most steps whose cache and buffers stay within `room`: by interpolation, since they grow in lines."""
        known = self._known.setdefault(layers, [])
        if not known:
            for steps in _FIRST_STEPS:
                self._look_up(steps, layers)
        turn = 0
        while True:
            above = bisect_right(known, (room, MOST_STEPS + 1))
            low = known[above - 1] if above else (0, 0)
            if above == len(known) or known[above][1] - low[1] <= 1:
                return low[1]
            high = known[above]
            gap = high[1] - low[1]
            turn += 1
            forward = gap // 2 if turn % 3 == 0 else (room - low[0]) * gap // max(1, high[0] - low[0])
            self._look_up(low[1] + min(max(forward, 1), gap - 1), layers)

    def _look_up(self, steps: int, layers: int) -> None:
        load = self._demand.load(self._site, steps * CONTEXT_STEP)
        need = load.total - (load.host_buffers if self._site.kind is SiteKind.CUDA else 0)
        given_away = (self._site.devices - 1) * -(-load.kv_bytes // layers) if layers else 0
        insort(self._known[layers], (need + given_away, steps))


def _site_and_limit(demand: Demand, budget: Budget) -> tuple[Site, float]:
    """Where a row should run, and how many bytes it may use there."""
    if not budget.gpus:
        return CPU_SITE, RAM_COMFORTABLE * budget.ram_bytes
    limits = [demand.rules.comfortable(gpu.nbytes) for gpu in budget.gpus]
    if budget.unified:
        return SHARED_SITE, limits[0]
    limit = len(limits) * min(limits) if demand.rules.splits_tensors else sum(limits)
    return Site(SiteKind.CUDA, len(limits)), limit
