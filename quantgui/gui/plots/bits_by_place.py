"""Where each tensor lies and how many bits its weights take: one step per tensor, as wide as the tensor is large."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt

from quantgui import units
from quantgui.gui import theme
from quantgui.gui.plots import Plot, Source, Subject
from quantgui.gui.plots.axes import ValueAxis
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.plots.canvas import Canvas
from quantgui.gui.plots.table_data import TableData
from quantgui.gui.plots.tensor_plot import shown_report
from quantgui.jobs.report_log import ReportLog
from quantgui.types import GB, TensorReport

TITLE = "Bits and places of the tensors"
MB = 10**6
LEAST_SHARE = 0.002
"""Of all bytes: what smaller tensors take is cut off at the top."""


class BitsByPlace(PlotPanel):
    """A GGUF file from its first byte to its last; other models as if their tensors lay one behind the other.

    A click shows the tensor that lies there.
    """

    def __init__(self, source: Source) -> None:
        self._bottom = ValueAxis("bottom", "Place")
        self.canvas = Canvas(self._bottom, ValueAxis("left", "Bits per weight"))
        super().__init__(TITLE, self.canvas)
        self._source = source
        self._drawn = ReportLog()
        self._marked: TensorReport | None = None
        self._placed: list[tuple[int, TensorReport]] = []
        self._scale = MB
        self.canvas.hovered.connect(self._hovered)
        self.canvas.clicked.connect(self._clicked)
        self.canvas.left.connect(lambda: self.set_readout(""))
        self.canvas.restyled.connect(self._redraw)
        self._redraw()

    def refresh(self) -> None:
        """Draw the tensors that are known now, and which one is shown in detail."""
        if self._reports() is not self._drawn or shown_report(self._source) is not self._marked:
            self._redraw()

    def reset_view(self) -> None:
        """Undo every zoom."""
        self.canvas.go_home()

    def table(self) -> TableData:
        """One row per tensor, in the order in which they lie."""
        rows = [(r.name, r.scheme_id or "kept", r.bits, start, r.bytes_after) for start, r in self._placed]
        return TableData(("tensor", "type", "bits per weight", "first byte", "bytes"), rows)

    def _reports(self) -> ReportLog:
        return self._source.run.reports if self._source.run else ReportLog()

    def _redraw(self) -> None:
        self._drawn, self._marked = self._reports(), shown_report(self._source)
        self._placed = placed(self._drawn)
        if not self._placed:
            self.show_empty("The tensors appear here as they are measured.")
            return
        colors = theme.current()
        end = _end(self._placed[-1])
        self._scale, unit = (GB, "GB") if end >= GB else (MB, "MB")
        in_file = self._placed[-1][1].offset is not None
        self._bottom.set_title(f"Place in the file ({unit})" if in_file else f"Tensors in their order ({unit})")
        self.canvas.clear_items()
        self._draw(self._placed, colors.before)
        self._draw([entry for entry in self._placed if entry[1] is self._marked], colors.after)
        mean = self._drawn.bits_per_weight
        pen = self.canvas.pen(colors.muted, 1.2, Qt.PenStyle.DashLine)
        self.canvas.plot.addItem(pg.InfiniteLine(mean, angle=0, pen=pen), ignoreBounds=True)
        self.canvas.set_key([("bits", colors.before), ("shown tensor", colors.after), ("mean", colors.muted)])
        self.canvas.set_home((0, max(end, 1) / self._scale), (0, 1.35 * self._height()))
        self.show_plot(self._caption(mean))

    def _draw(self, entries: list[tuple[int, TensorReport]], color: str) -> None:
        """Steps over the entries' bytes, nothing over what lies between them."""
        starts = np.array([start for start, _ in entries], float) / self._scale
        ends = np.array([_end(entry) for entry in entries], float) / self._scale
        bits = np.array([report.bits for _, report in entries])
        zeros = np.zeros_like(bits)
        x = np.column_stack((starts, starts, ends, ends)).ravel()
        y = np.column_stack((zeros, bits, bits, zeros)).ravel()
        filling = pg.mkColor(color)
        filling.setAlphaF(0.35)
        self.canvas.plot.addItem(pg.PlotCurveItem(x, y, fillLevel=0, brush=filling, pen=self.canvas.pen(color, 1.0)))

    def _height(self) -> float:
        """The most bits of a tensor that counts: norms of 32 bits would press all others to the ground."""
        least = LEAST_SHARE * sum(report.bytes_after for _, report in self._placed)
        return max((r.bits for _, r in self._placed if r.bytes_after >= least), default=0.0) or 1.0

    def _caption(self, mean: float) -> str:
        size = units.file_size(sum(report.bytes_after for _, report in self._placed))
        words = f"{units.bits_per_weight(mean)} · {units.count(len(self._placed))} tensors, {size}"
        first, report = self._placed[0]
        return f"{words} behind a header of {units.file_size(first)}" if report.offset is not None else words

    def _at(self, x: float) -> tuple[int, TensorReport] | None:
        """The tensor that lies at `x` of the axis, with its first byte."""
        return next((e for e in self._placed if e[0] <= x * self._scale < _end(e)), None)

    def _clicked(self, x: float) -> None:
        if (found := self._at(x)) is not None:
            self._source.select_tensor(found[1].name)

    def _hovered(self, x: float) -> None:
        found = self._at(x)
        if found is None:
            self.set_readout("")
            return
        start, report = found
        size = units.file_size(report.bytes_after)
        kind = report.scheme_id or "kept"
        self.set_readout(f"{report.short_name}: {kind}, {report.bits:.2f} bits, {size} at byte {units.count(start)}")


def placed(reports: ReportLog) -> list[tuple[int, TensorReport]]:
    """(first byte, report) in the order of the places; one behind the other where they have none."""
    known = [(report.offset, report) for report in reports.values() if report.offset is not None]
    if known:
        return sorted(known, key=lambda entry: entry[0])
    entries, start = [], 0
    for report in reports.values():
        entries.append((start, report))
        start += report.bytes_after
    return entries


def _end(entry: tuple[int, TensorReport]) -> int:
    start, report = entry
    return start + report.bytes_after


PLOT = Plot("bits-by-place", TITLE, 80, Subject.RUN, BitsByPlace)
