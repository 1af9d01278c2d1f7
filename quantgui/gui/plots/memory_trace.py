"""Memory of the child process over time: what it holds for itself, and with the mapped pages of the model's files."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from quantgui import units
from quantgui.gui import formatting, theme
from quantgui.gui.plots import Plot, Source, Subject
from quantgui.gui.plots.axes import ValueAxis
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.plots.canvas import Canvas
from quantgui.gui.plots.table_data import TableData
from quantgui.jobs.fold import MemoryPoint

TITLE = "Memory of the run"


class MemoryTrace(PlotPanel):
    """Two curves: its own memory, which counts against the limit, and the rest, which the system can take back."""

    def __init__(self, source: Source) -> None:
        self._bottom, self._left = ValueAxis("bottom", "Time (s)"), ValueAxis("left", "Memory")
        self.canvas = Canvas(self._bottom, self._left)
        super().__init__(TITLE, self.canvas)
        self._source = source
        self._drawn: tuple[MemoryPoint, ...] | None = None
        self.canvas.hovered.connect(self._hovered)
        self.canvas.left.connect(lambda: self.set_readout(""))
        self.canvas.restyled.connect(self._redraw)
        self._redraw()

    def refresh(self) -> None:
        """Draw the newest trace."""
        if self._trace() is not self._drawn:
            self._redraw()

    def reset_view(self) -> None:
        """Undo every zoom."""
        self.canvas.go_home()

    def table(self) -> TableData:
        """One row per sample."""
        rows = [(p.seconds, p.anonymous_bytes, p.rss_bytes) for p in self._trace()]
        return TableData(("seconds", "own memory (bytes)", "resident memory (bytes)"), rows)

    def _trace(self) -> tuple[MemoryPoint, ...]:
        return self._source.run.memory_trace if self._source.run else ()

    def _redraw(self) -> None:
        self._drawn = trace = self._trace()
        if len(trace) < 2:
            self.show_empty("Memory is recorded while a run is at work; it is not kept with finished runs.")
            return
        colors = theme.current()
        scale, unit = formatting.memory_axis(max(p.rss_bytes for p in trace))
        self._left.set_title(f"Memory ({unit})")
        self.canvas.clear_items()
        seconds = np.array([p.seconds for p in trace])
        resident = np.array([p.rss_bytes for p in trace]) / scale
        self._draw(seconds, resident, colors.muted, filled=False)
        key = [("with mapped files", colors.muted)]
        if all(p.anonymous_bytes is not None for p in trace):
            own = np.array([p.anonymous_bytes for p in trace]) / scale
            self._draw(seconds, own, colors.weights, filled=True)
            key.insert(0, ("its own", colors.weights))
        self.canvas.set_key(key)
        self.canvas.set_home((0, float(seconds[-1])), (0, float(resident.max()) * 1.3))
        self.show_plot(self._caption())

    def _draw(self, x: np.ndarray, y: np.ndarray, color: str, *, filled: bool) -> None:
        filling = pg.mkColor(color)
        filling.setAlphaF(0.25)
        options = {"fillLevel": 0, "brush": filling} if filled else {}
        self.canvas.plot.addItem(pg.PlotCurveItem(x, y, pen=self.canvas.pen(color, 1.6), **options))

    def _caption(self) -> str:
        run = self._source.run
        assert run is not None
        if run.peak_anonymous_bytes is not None:
            return f"Peak of its own memory {formatting.memory(run.peak_anonymous_bytes)}"
        return f"Peak {formatting.memory(max(p.rss_bytes for p in run.memory_trace))}, mapped files included"

    def _hovered(self, x: float) -> None:
        if self._drawn and not self.is_empty:
            point = min(self._drawn, key=lambda p: abs(p.seconds - x))
            own = "" if point.anonymous_bytes is None else f"{formatting.memory(point.anonymous_bytes)} its own, "
            whole = formatting.memory(point.rss_bytes)
            self.set_readout(f"{units.duration(point.seconds)}: {own}{whole} with mapped files")


PLOT = Plot("memory-trace", TITLE, 90, Subject.RUN, MemoryTrace)
