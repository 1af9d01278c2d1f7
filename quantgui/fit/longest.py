"""The longest context with which a row fits the memory it should run from."""

from __future__ import annotations

from quantgui.fit.budget import Budget
from quantgui.fit.demand import Demand
from quantgui.fit.placement import place
from quantgui.fit.settings import MAX_CONTEXT
from quantgui.fit.weights import WeightBytes
from quantgui.types import Verdict

CONTEXT_STEP = 256
"""Contexts are told in steps of so many tokens."""


def longest_context(weights: WeightBytes, demand: Demand, budget: Budget) -> int | None:
    """Tokens per sequence with which the row fits, a multiple of 256; 0 where not even 256 do.

    None where the KV cache is not known. What a model was trained for is not a limit here.
    """
    if demand.model.cache is None:
        return None

    def fits(steps: int) -> bool:
        return place(weights, demand, budget, steps * CONTEXT_STEP).verdict is Verdict.FITS

    most = MAX_CONTEXT // CONTEXT_STEP
    low, high = 0, 1  # `low` fits (or is nothing), `high` does not (or is beyond the end)
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low * CONTEXT_STEP
