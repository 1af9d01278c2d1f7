"""The fit chart with its table twin and exports."""

from __future__ import annotations

from PySide6.QtCore import Signal

from quantgui.fit.budget import budget_of
from quantgui.gui.app_state import AppState
from quantgui.gui.fit.bars_canvas import BarsCanvas, parts_in_words
from quantgui.gui.fit.scale import limits_of
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.plots.table_data import TableData
from quantgui.types import MemoryKind

TITLE = "Memory per precision"
COLUMNS = (
    "Precision",
    "Verdict",
    "Bits per weight",
    "Weights (bytes)",
    "KV cache (bytes)",
    "Compute (bytes)",
    "Overhead (bytes)",
    "Total (bytes)",
    "File (bytes)",
    "Reason",
)


class FitChart(PlotPanel):
    """`picked` and `chosen` carry the id of a precision."""

    picked = Signal(str)
    chosen = Signal(str)

    def __init__(self, state: AppState) -> None:
        self.canvas = BarsCanvas()
        super().__init__(TITLE, self.canvas)
        self._state = state
        self._picked = ""
        self.canvas.picked.connect(self.picked)
        self.canvas.chosen.connect(self.chosen)
        self.canvas.hovered.connect(self._hovered)

    def pick(self, scheme_id: str) -> None:
        """Mark a row."""
        self._picked = scheme_id
        self.refresh()

    def refresh(self) -> None:
        """Draw the newest estimates."""
        state = self._state
        if not state.estimates:
            self.show_empty("Estimates appear as soon as a model is open and the hardware is known.")
            return
        limits = limits_of(budget_of(state.hardware))
        self.canvas.show_estimates(state.estimates, limits, self._picked, state.recipe.base.id)
        self.show_plot(f"{state.hardware.name}. What lies beyond its limit is hatched.")

    def table(self) -> TableData:
        """One row per precision."""
        kinds = (MemoryKind.WEIGHTS, MemoryKind.KV_CACHE, MemoryKind.COMPUTE, MemoryKind.OVERHEAD)
        rows = [
            (
                e.scheme_id,
                e.verdict.value,
                e.bits_per_weight,
                *(e.part(kind) for kind in kinds),
                e.total_bytes,
                e.file_bytes,
                e.reason,
            )
            for e in self._state.estimates
        ]
        return TableData(COLUMNS, rows)

    def _hovered(self, scheme_id: str) -> None:
        found = next((e for e in self._state.estimates if e.scheme_id == scheme_id), None)
        self.set_readout("" if found is None else f"{found.scheme_id}: {parts_in_words(found)}")
