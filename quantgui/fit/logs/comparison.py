"""Predicted against real, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.fit.logs.reading import ParsedLog
from quantgui.fit.settings import FitSettings
from quantgui.types import MemoryEstimate, MemoryKind
from quantgui.units import count

LABELS = {
    MemoryKind.WEIGHTS: "Weights",
    MemoryKind.KV_CACHE: "KV cache",
    MemoryKind.COMPUTE: "Compute buffers",
    MemoryKind.OVERHEAD: "Overhead",
}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the comparison. `predicted` is None where nothing was estimated; `kind` None for the total."""

    label: str
    kind: MemoryKind | None
    predicted: int | None
    real: int
    note: str = ""

    @property
    def error(self) -> float | None:
        """Signed relative error of the prediction; positive where it is too large. None where it has no meaning."""
        return None if self.predicted is None or not self.real else self.predicted / self.real - 1


def compare_log(
    estimate: MemoryEstimate, parsed: ParsedLog, settings: FitSettings | None = None
) -> tuple[LogLine, ...]:
    """What the log states beside what was estimated, one line per part and one for their sum.

    `settings` are the estimate's: they tell vLLM's pool from what this context needs of it, and a differing context
    is said.
    """
    lines = [line for kind in MemoryKind if (line := _line(kind, estimate, parsed, settings)) is not None]
    if parsed.used_bytes is not None:
        lines.append(LogLine("In use", None, estimate.total_bytes, parsed.used_bytes, " ".join(parsed.notes)))
    elif len(lines) > 1:
        predicted = sum(line.predicted or 0 for line in lines)
        lines.append(LogLine("Sum of these", None, predicted, sum(line.real for line in lines)))
    return tuple(lines)


def _line(
    kind: MemoryKind, estimate: MemoryEstimate, parsed: ParsedLog, settings: FitSettings | None
) -> LogLine | None:
    real = parsed.nbytes(kind)
    if kind is MemoryKind.COMPUTE:  # buffers in RAM beside a GPU's belong to the estimate's overhead
        on_gpus = parsed.nbytes(kind, on_host=False)
        real = real if on_gpus is None else on_gpus
    if real is None:
        return None
    note = _context_note(parsed, settings) if kind is MemoryKind.KV_CACHE else ""
    if kind is MemoryKind.KV_CACHE and parsed.kv_pool_tokens and settings is not None:
        tokens = settings.context * settings.batch
        real = round(real / parsed.kv_pool_tokens * tokens)
        note = f"The pool holds {count(parsed.kv_pool_tokens)} tokens; this is the share of {count(tokens)}."
    return LogLine(LABELS[kind], kind, estimate.part(kind), real, note)


def _context_note(parsed: ParsedLog, settings: FitSettings | None) -> str:
    if settings is None or parsed.context is None or parsed.kv_pool_tokens:
        return ""
    if parsed.context == settings.context * settings.batch:
        return ""
    expected = count(settings.context * settings.batch)
    return f"The log has a context of {count(parsed.context)} tokens, the estimate {expected}."
