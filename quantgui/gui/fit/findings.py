"""What the Fit page says, as pure functions of the estimates: the finding in its title, and the line below it."""

from __future__ import annotations

from collections.abc import Sequence

from quantgui.fit.budget import Budget
from quantgui.fit.recommendation import Recommendation, recommend
from quantgui.fit.settings import FitSettings
from quantgui.gui import formatting
from quantgui.gui.fit.words import name_of
from quantgui.types import Checkpoint, HardwareTarget, MemoryEstimate


def recommended(estimates: Sequence[MemoryEstimate], hardware: HardwareTarget) -> Recommendation | None:
    """The row with the star and its reason; None where nothing runs at all."""
    return recommend(estimates, hardware)


def headline(best: Recommendation | None, estimates: Sequence[MemoryEstimate], budget: Budget) -> str:
    """The finding: what to use and why, or how far everything is from fitting."""
    if best is not None:
        return f"{name_of(best.scheme_id)}: {_lowered(best.sentence).rstrip('.')}"
    least = min(estimates, key=lambda e: e.total_bytes)
    room = formatting.memory(budget.primary_bytes)
    return f"Nothing here fits {room}: {name_of(least.scheme_id)} still needs {formatting.memory(least.total_bytes)}"


def subtitle(checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings) -> str:
    """What was estimated: model, hardware, context, slots and batch where there are several."""
    pieces = [f"{formatting.tokens(settings.context)} context"]
    if settings.slots > 1:
        pieces.append(f"{formatting.count(settings.slots)} slots")
    if settings.batch > 1:
        pieces.append(f"batch {formatting.count(settings.batch)}")
    pieces.append(f"{settings.kv_dtype} KV cache")
    return f"{checkpoint.name} on {hardware.name}, {', '.join(pieces)}"


def _lowered(sentence: str) -> str:
    """A sentence as it stands behind a colon: names that begin with two capitals stay."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]
