"""Largest weight of each output channel, sorted or in order, with the line above which a channel stands out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox

from quantgui import units
from quantgui.gui import theme
from quantgui.gui.plots import Plot, Source, Subject
from quantgui.gui.plots.axes import ValueAxis
from quantgui.gui.plots.canvas import Canvas
from quantgui.gui.plots.pooling import max_pool
from quantgui.gui.plots.table_data import TableData
from quantgui.gui.plots.tensor_plot import TensorPlot
from quantgui.types import TensorReport

TITLE = "Largest weight per channel"


def outlier_limit(values: Sequence[float]) -> float:
    """Tukey's upper fence: the third quartile plus 1.5 times the distance between the quartiles."""
    first, third = np.percentile(values, (25, 75))
    return float(third + 1.5 * (third - first))


class ChannelMax(TensorPlot):
    """A curve over the channels: a few that tower over the rest make the scale of everything that shares it coarse."""

    def __init__(self, source: Source) -> None:
        self._sorted = QCheckBox("sorted")
        self._sorted.setChecked(True)
        self._sorted.setToolTip("Largest channel first, or in the order in which the tensor stores them")
        self._bottom = ValueAxis("bottom", "Output channel")
        super().__init__(TITLE, Canvas(self._bottom, ValueAxis("left", "max |w|")), source)
        self.add_control(self._sorted)
        self._sorted.toggled.connect(lambda: self.redraw())

    def objection(self, report: TensorReport) -> str:
        """Vectors have no channels."""
        return "" if report.channel_max else report.why_kept or "This tensor has no output channels to compare."

    def draw(self, report: TensorReport) -> str:
        """The curve, the fence and its name."""
        colors = theme.current()
        values, limit = self._values(report), outlier_limit(report.channel_max)
        borders = np.linspace(0, _channels(report), len(values) + 1)
        color = colors.color("before")
        filling = colors.color("before")
        filling.setAlphaF(0.35)
        curve = pg.PlotCurveItem(
            borders, np.array(values), stepMode="center", fillLevel=0, brush=filling, pen=self.canvas.pen(color, 1.2)
        )
        self.canvas.plot.addItem(curve)
        above = sum(value > limit for value in report.channel_max)
        if above:
            pen = self.canvas.pen(colors.tight, 1.2, Qt.PenStyle.DashLine)
            self.canvas.plot.addItem(pg.InfiniteLine(limit, angle=0, pen=pen), ignoreBounds=True)
        words = f"stands out above {units.scientific(limit)}" if above else "none stands out"
        self.canvas.set_key([("max |w|", colors.before), (words, colors.tight if above else colors.muted)])
        self._bottom.set_title("Output channel, largest first" if self._sorted.isChecked() else "Output channel")
        self.canvas.set_home((0, _channels(report)), (0, (max(values) or 1.0) * 1.25))
        return _caption(report, above)

    def readout(self, report: TensorReport, x: float) -> str:
        """The value under the pointer."""
        values = self._values(report)
        index = min(max(0, int(x / _channels(report) * len(values))), len(values) - 1)
        return f"channel {units.count(max(0, int(x)))}: {units.scientific(values[index])}"

    def table(self) -> TableData:
        """One row per point of the curve."""
        values = self._values(self.report)
        step = _channels(self.report) / len(values) if values else 1
        name = "rank of the channel" if self._sorted.isChecked() else "channel"
        return TableData((name, "max |w|"), [(round(index * step), value) for index, value in enumerate(values)])

    def _values(self, report: TensorReport) -> list[float]:
        values = max_pool(report.channel_max)
        return sorted(values, reverse=True) if self._sorted.isChecked() else values


def _channels(report: TensorReport) -> int:
    return report.shape[0] if report.shape else 1


def _caption(report: TensorReport, above: int) -> str:
    """How many of the values stand out; where channels were pooled, each value stands for several."""
    values, channels = len(report.channel_max), _channels(report)
    what = "channels" if values == channels else f"groups of {channels / values:.0f} channels"
    words = [f"{above} of {units.count(values)} {what} stand out"]
    if report.kurtosis is not None:
        words.append(f"kurtosis {report.kurtosis:.1f} (3 is normal)")
    return " · ".join(words)


PLOT = Plot("channel-max", TITLE, 30, Subject.TENSOR, ChannelMax)
