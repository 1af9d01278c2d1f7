"""What the Fit page says, as pure functions of the estimates: the finding in its title, and what to use."""

from __future__ import annotations

from collections.abc import Sequence

from quantgui.fit.budget import Budget
from quantgui.gui import formatting
from quantgui.quant.registry import rows
from quantgui.types import Checkpoint, MemoryEstimate, Verdict

SOURCE_ROWS = {"F32": "FP32", "F16": "FP16", "BF16": "BF16"}
"""Registry rows that are the source as it is."""
ORDER = (Verdict.FITS, Verdict.TIGHT, Verdict.OFFLOAD)


def recommended(checkpoint: Checkpoint, estimates: Sequence[MemoryEstimate]) -> MemoryEstimate | None:
    """The most precise row with the best verdict that any row gets; None where all are too large.

    A cast to more bits than the source has adds no precision, so such rows are passed over. At equal bits the source's
    own type goes first, and integers go before small floats, which fewer devices compute with.
    """
    source = SOURCE_ROWS.get(checkpoint.dtype, "")
    bits = {row.id: row.bits for row in rows()}
    limit = bits.get(source, max(bits.values()))
    useful = [e for e in estimates if bits.get(e.scheme_id, 0) <= limit] or list(estimates)
    ranked = sorted(
        useful, key=lambda e: (-bits.get(e.scheme_id, 0), e.scheme_id != source, e.scheme_id.startswith("FP"))
    )
    for verdict in ORDER:
        found = next((e for e in ranked if e.verdict is verdict), None)
        if found is not None:
            return found
    return None


def headline(checkpoint: Checkpoint, estimates: Sequence[MemoryEstimate], budget: Budget, context: int) -> str:
    """The finding: what fits, into how much, at which context."""
    room = f"{formatting.memory(budget.primary_bytes)} at {formatting.tokens(context)} context"
    best = recommended(checkpoint, estimates)
    if best is None:
        least = min(estimates, key=lambda e: e.total_bytes)
        return f"Nothing here fits {room}: {least.scheme_id} still needs {formatting.memory(least.total_bytes)}"
    if best.verdict is Verdict.OFFLOAD:
        return f"Nothing fits {room}; {best.scheme_id} runs with a part in RAM"
    if best.scheme_id == SOURCE_ROWS.get(checkpoint.dtype):
        fits = "fits" if best.verdict is Verdict.FITS else "just fits"
        return f"{best.scheme_id}, as it is, {fits} {room}"
    if best.verdict is Verdict.TIGHT:
        return f"{best.scheme_id} just fits {room}"
    return f"{best.scheme_id} is the most precise that fits {room}"
