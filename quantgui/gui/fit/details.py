"""The picked precision in words: verdict, reason, and where each number comes from."""

from __future__ import annotations

from quantgui.gui import formatting
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.text import label, muted
from quantgui.gui.widgets.verdict_badge import VerdictBadge
from quantgui.quant.registry import rows
from quantgui.types import MemoryEstimate, MemoryKind, MemoryPart

WORDS = {
    MemoryKind.WEIGHTS: "Weights",
    MemoryKind.KV_CACHE: "KV cache",
    MemoryKind.COMPUTE: "Compute",
    MemoryKind.OVERHEAD: "Overhead",
}


class Details(Card):
    """Labels are filled again, never made again: the slider moves while they are read."""

    def __init__(self) -> None:
        super().__init__("Precision")
        self._badge = VerdictBadge()
        self.header.addWidget(self._badge)
        self._summary = muted()
        self._reason = label(wrap=True)
        self._facts = Facts()
        for widget in (self._summary, self._reason, self._facts):
            self.body.addWidget(widget)
        self.body.addStretch(1)

    def show_estimate(self, estimate: MemoryEstimate) -> None:
        """Show this one."""
        row = next((row for row in rows() if row.id == estimate.scheme_id), None)
        self.set_title(estimate.scheme_id)
        self._badge.set_verdict(estimate.verdict, estimate.reason)
        self._summary.setText(row.summary if row else "The checkpoint as it is.")
        self._reason.setText(estimate.reason)
        self._facts.set_facts(
            [
                *(Fact(WORDS[part.kind], _part(part), tip=_part_tip(part)) for part in estimate.parts),
                Fact(
                    "Known sum" if any(p.nbytes is None for p in estimate.parts) else "Total",
                    formatting.memory(estimate.total_bytes),
                    "GiB",
                    tip=f"{estimate.total_bytes} bytes",
                ),
                Fact("File", formatting.file_size(estimate.file_bytes), "GB", tip=f"{estimate.file_bytes} bytes"),
                Fact("Precision", formatting.bits_per_weight(estimate.bits_per_weight), "Bits per weight"),
            ]
        )


def _part(part: MemoryPart) -> str:
    if part.nbytes is None:
        return "not estimated yet"
    return f"{formatting.memory(part.nbytes)} · {part.provenance.value}"


def _part_tip(part: MemoryPart) -> str:
    raw = "" if part.nbytes is None else f"{formatting.count(part.nbytes)} bytes. "
    return f"{raw}{part.note}".strip()
