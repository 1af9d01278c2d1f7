"""Weights before and after: logarithmic counts, the representable levels as ticks, what was clipped or became zero."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from quantgui import units
from quantgui.gui import theme
from quantgui.gui.plots import Plot, Source, Subject
from quantgui.gui.plots.axes import LOG_FLOOR, CountAxis, ValueAxis
from quantgui.gui.plots.canvas import Canvas
from quantgui.gui.plots.histogram_drawing import bin_at, draw_band, draw_steps, edges, has_counts, occupied, top_of
from quantgui.gui.plots.table_data import TableData
from quantgui.gui.plots.tensor_plot import TensorPlot
from quantgui.types import TensorReport

TITLE = "Weights before and after"
_TICK_HEIGHT = 0.06  # of the axis


class WeightHistogram(TensorPlot):
    """Before in blue, after in orange, over the same bins."""

    def __init__(self, source: Source) -> None:
        canvas = Canvas(ValueAxis("bottom", "Weight"), CountAxis("left", "Count"))
        super().__init__(TITLE, canvas, source)

    def objection(self, report: TensorReport) -> str:
        """Tensors that were only copied have no histogram."""
        if has_counts(report.before):
            return ""
        return report.why_kept or "No distribution was computed for this tensor."

    def draw(self, report: TensorReport) -> str:
        """Zones, bars, ticks and the key."""
        colors = theme.current()
        before, after = report.before, report.after
        assert before is not None
        shown = [h for h in (before, after) if h is not None]
        top = top_of(*shown)
        self._draw_zones(report)
        draw_steps(self.canvas, before, colors.color("before"), 0.35)
        key = [("before", colors.before)]
        if after is not None:
            draw_steps(self.canvas, after, colors.color("after"), 0.10)
            key.append(("after", colors.after))
        if report.levels:
            self._draw_levels(report, top)
            scale = "" if _one_scale(report) else " of the median scale"
            key.append((f"{len(report.levels)} levels{scale}", colors.muted))
        self.canvas.set_key(key)
        air = 0.01 * (before.high - before.low)
        self.canvas.set_home((before.low - air, before.high + air), (LOG_FLOOR, top))
        return _caption(report)

    def readout(self, report: TensorReport, x: float) -> str:
        """Counts of the bin under the pointer."""
        assert report.before is not None
        index = bin_at(report.before, x)
        if index is None:
            return units.scientific(x)
        words = [f"near {units.scientific(x)}:", f"{units.count(report.before.counts[index])} before"]
        if report.after is not None and index < len(report.after.counts):
            words.append(f"· {units.count(report.after.counts[index])} after")
        return " ".join(words)

    def table(self) -> TableData:
        """One row per bin."""
        before, after = self.report.before, self.report.after
        if before is None:
            return TableData((), ())
        borders = edges(before, len(before.counts))
        counts = after.counts if after is not None else (None,) * len(before.counts)
        rows = [
            (float(low), float(high), was, became)
            for low, high, was, became in zip(borders[:-1], borders[1:], before.counts, counts, strict=False)
        ]
        return TableData(("from", "to", "weights before", "weights after"), rows)

    def _draw_levels(self, report: TensorReport, top: float) -> None:
        heights = np.tile([LOG_FLOOR, LOG_FLOOR + _TICK_HEIGHT * (top - LOG_FLOOR)], len(report.levels))
        pen = self.canvas.pen(theme.current().text, 1)
        self.canvas.plot.addItem(pg.PlotCurveItem(np.repeat(report.levels, 2), heights, connect="pairs", pen=pen))

    def _draw_zones(self, report: TensorReport) -> None:
        """Shade where weights become zero and where they are clipped, if any did and all share one scale."""
        colors = theme.current()
        if report.error is None or not report.step or not _one_scale(report):
            return
        if report.error.zeroed > 0:
            draw_band(self.canvas, -report.step / 2, report.step / 2, colors.color("muted"))
        if report.error.clipped > 0 and report.before is not None:
            below, above = report.levels[0] - report.step / 2, report.levels[-1] + report.step / 2
            if report.before.low < below:
                draw_band(self.canvas, report.before.low, below, colors.color("too_large"))
            if report.before.high > above:
                draw_band(self.canvas, above, report.before.high, colors.color("too_large"))


def _one_scale(report: TensorReport) -> bool:
    """Whether the levels hold for every weight: then nothing lies beyond them after quantization."""
    if not report.levels or report.after is None or not has_counts(report.after):
        return False
    low, high = occupied(report.after)
    width = 2 * (report.after.high - report.after.low) / len(report.after.counts)
    return report.levels[0] - width <= low and high <= report.levels[-1] + width


def _caption(report: TensorReport) -> str:
    words = ["kept as it was"] if report.scheme_id is None else []
    if report.error is not None:
        words.append(f"{units.percent(report.error.clipped)} clipped")
        words.append(f"{units.percent(report.error.zeroed)} became zero")
    if report.step:
        words.append(f"step {units.scientific(report.step)}")
    return " · ".join(words)


PLOT = Plot("weight-histogram", TITLE, 10, Subject.TENSOR, WeightHistogram)
