"""Fits, tight, offload or too large, with the resource that fails and the smallest change that would pass, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantgui.fit.budget import Budget
from quantgui.fit.kv_cache import KvCache
from quantgui.fit.settings import FitSettings
from quantgui.fit.weights import WeightBytes
from quantgui.types import Verdict
from quantgui.units import count, memory

TIGHT_ABOVE = 0.9
"""Share of a memory beyond which too little is left for activations, fragmentation and the desktop."""
SHORTEST_CONTEXT = 1024
"""A shorter context is no help to anybody."""
CONTEXT_STEP = 256

_SEVERITY = {Verdict.FITS: 0, Verdict.TIGHT: 1, Verdict.OFFLOAD: 2, Verdict.TOO_LARGE: 3}
_WOULD = {
    Verdict.FITS: "fit",
    Verdict.TIGHT: "be tight",
    Verdict.OFFLOAD: "run with part of it in RAM",
    Verdict.TOO_LARGE: "be too large",
}


@dataclass(frozen=True, slots=True)
class Need:
    """What one row needs, and what it could be changed to."""

    weights: WeightBytes
    kv_bytes: int | None
    cache: KvCache | None

    @property
    def total(self) -> int:
        """Weights plus KV cache where it is known."""
        return self.weights.nbytes + (self.kv_bytes or 0)


def judge(total: int, budget: Budget) -> Verdict:
    """The verdict on `total` bytes. More than 90 % of the primary memory is tight."""
    if total <= TIGHT_ABOVE * budget.primary_bytes:
        return Verdict.FITS
    if total <= budget.primary_bytes:
        return Verdict.TIGHT
    return Verdict.OFFLOAD if budget.device_bytes and total <= budget.pooled_bytes else Verdict.TOO_LARGE


def explain(need: Need, others: Sequence[Need], budget: Budget, settings: FitSettings) -> tuple[Verdict, str]:
    """Verdict and reason of one row; `others` are the rows it could be replaced by."""
    verdict = judge(need.total, budget)
    sentences = [_reason(verdict, need.total, budget)]
    if need.kv_bytes is None:
        sentences.append("Weights alone: the KV cache is not estimated.")
    if verdict is not Verdict.FITS:
        sentences.append(_change(need, others, budget, settings, verdict))
    return verdict, " ".join(sentence for sentence in sentences if sentence)


def _reason(verdict: Verdict, total: int, budget: Budget) -> str:
    limit, name = budget.primary_bytes, budget.primary_name
    if verdict is Verdict.FITS:
        return f"Needs {memory(total)} of the {memory(limit)} of {name}; {memory(limit - total)} stay free."
    if verdict is Verdict.TIGHT:
        return f"Needs {memory(total)} of the {memory(limit)} of {name}, which leaves little for activations."
    if verdict is Verdict.OFFLOAD:
        return (
            f"Needs {memory(total - limit)} more than the {memory(limit)} of {name}; "
            "the rest would run from RAM, much slower."
        )
    if budget.device_bytes and budget.ram_bytes and not budget.unified:
        return f"Needs {memory(total)}, but {name} and RAM together are {memory(budget.pooled_bytes)}."
    return (
        f"Needs {memory(total)}, but there are {memory(budget.pooled_bytes)} of {'memory' if budget.unified else name}."
    )


def _change(need: Need, others: Sequence[Need], budget: Budget, settings: FitSettings, verdict: Verdict) -> str:
    """The smallest change that would pass: a shorter context, else the next smaller precision that does better."""
    context = _context_that_fits(need, budget, settings)
    if context is not None:
        return f"A context of {count(context)} tokens would fit."
    smaller = [other for other in others if other.total < need.total]
    if not smaller:
        enough = memory(math.ceil(need.total / TIGHT_ABOVE))
        return f"Nothing here is smaller; {enough} of {budget.primary_name} would be enough."
    best = min(smaller, key=lambda other: (_SEVERITY[judge(other.total, budget)], -other.total))
    outcome = judge(best.total, budget)
    if _SEVERITY[outcome] < _SEVERITY[verdict]:
        return f"{best.weights.scheme_id} would {_WOULD[outcome]}."
    least = min(smaller, key=lambda other: other.total)
    return f"Even {least.weights.scheme_id} needs {memory(least.total)}."


def _context_that_fits(need: Need, budget: Budget, settings: FitSettings) -> int | None:
    if need.cache is None or not need.kv_bytes:
        return None
    room = int(TIGHT_ABOVE * budget.primary_bytes) - need.weights.nbytes
    if room <= 0:
        return None
    context = need.cache.longest_context(room, settings) // CONTEXT_STEP * CONTEXT_STEP
    return context if SHORTEST_CONTEXT <= context < settings.context else None
