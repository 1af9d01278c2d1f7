"""The columns of the fit table: what a cell says, how it sorts, what it says on hover."""

from __future__ import annotations

from quantgui.gui import formatting
from quantgui.gui.fit import words
from quantgui.gui.widgets.row_model import Column
from quantgui.gui.widgets.verdict_badge import WORDS
from quantgui.quant.registry import rows
from quantgui.types import MemoryEstimate, Verdict

NAME, MEMORY, VERDICT, CONTEXT, SPEED, QUALITY = range(6)
WIDTHS = {NAME: 112, VERDICT: 150, CONTEXT: 68, SPEED: 60, QUALITY: 144}
"""Device-independent pixels; the memory column takes the rest."""
_SEVERITY = {verdict: -rank for rank, verdict in enumerate(Verdict)}


def _name_tip(estimate: MemoryEstimate) -> str:
    row = next((row for row in rows() if row.id == estimate.scheme_id), None)
    bits = formatting.bits_per_weight(estimate.bits_per_weight)
    return f"{row.title}. {row.summary}\n{bits}" if row else bits


def _context_tip(estimate: MemoryEstimate) -> str:
    tokens = estimate.longest_context
    return "Not known for this row." if tokens is None else f"{formatting.count(tokens)} tokens"


def _speed_tip(estimate: MemoryEstimate) -> str:
    speed = estimate.speed
    return (
        "Not estimated: the bandwidth is not known, or nothing is generated."
        if speed is None
        else f"{words.speed_with_band(speed)}\n{speed.note}"
    )


def _quality_tip(estimate: MemoryEstimate) -> str:
    quality = estimate.quality
    if quality is None:
        return "No published measurement is known here."
    ratio = quality.perplexity_ratio
    said = "" if ratio is None else f"Perplexity × {ratio:.4g} of the 16-bit model's. "
    return f"{said}{quality.source}"


COLUMNS = (
    Column("Precision", lambda e: words.name_of(e.scheme_id), sort=lambda e: e.bits_per_weight, tip=_name_tip),
    Column("Memory", words.total_in_words, sort=lambda e: e.total_bytes, tip=words.tip, word="Memory estimate"),
    Column("Verdict", lambda e: WORDS[e.verdict], sort=lambda e: _SEVERITY[e.verdict], tip=lambda e: e.reason),
    Column(
        "Longest context",
        words.longest_context,
        sort=lambda e: e.longest_context,
        tip=_context_tip,
        right=True,
        word="Longest context",
    ),
    Column(
        "Tokens per second",
        lambda e: words.speed(e.speed),
        sort=lambda e: None if e.speed is None else e.speed.tokens_per_second,
        tip=_speed_tip,
        right=True,
    ),
    Column(
        "Quality loss",
        lambda e: "not known" if e.quality is None else e.quality.words.partition(";")[0],
        sort=lambda e: None if e.quality is None or e.quality.perplexity_ratio is None else -e.quality.perplexity_ratio,
        tip=_quality_tip,
    ),
)
