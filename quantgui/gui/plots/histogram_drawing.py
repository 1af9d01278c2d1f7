"""Histograms as filled steps on a logarithmic axis, and which bin is where."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from quantgui.gui.plots.axes import LOG_FLOOR, log_count
from quantgui.gui.plots.canvas import Canvas
from quantgui.gui.plots.pooling import max_pool
from quantgui.types import Histogram


def edges(histogram: Histogram, bins: int) -> np.ndarray:
    """The `bins` + 1 borders of the bins."""
    return np.linspace(histogram.low, histogram.high, bins + 1)


def bin_at(histogram: Histogram, x: float) -> int | None:
    """Index of the bin that holds `x`, None outside."""
    width = (histogram.high - histogram.low) / len(histogram.counts)
    index = int((x - histogram.low) // width)
    return index if 0 <= index < len(histogram.counts) else None


def has_counts(histogram: Histogram | None) -> bool:
    """Whether there is anything to draw."""
    return histogram is not None and histogram.high > histogram.low and any(histogram.counts)


def occupied(histogram: Histogram) -> tuple[float, float]:
    """The range from the first to the last bin that holds anything, with one bin of air to either side."""
    filled = [index for index, count in enumerate(histogram.counts) if count]
    borders = edges(histogram, len(histogram.counts))
    first, last = max(0, filled[0] - 1), min(len(histogram.counts), filled[-1] + 2)
    return float(borders[first]), float(borders[last])


def top_of(*histograms: Histogram) -> float:
    """Upper end of the logarithmic axis: the highest bin with room for words above."""
    return log_count(max(max(histogram.counts) for histogram in histograms)) * 1.15 + 0.3


def draw_steps(canvas: Canvas, histogram: Histogram, color: QColor, opacity: float) -> None:
    """Add the histogram as an outline above a lighter filling."""
    counts = max_pool(histogram.counts)
    heights = np.array([log_count(count) for count in counts])
    filling = QColor(color)
    filling.setAlphaF(opacity)
    canvas.plot.addItem(
        pg.PlotCurveItem(
            edges(histogram, len(counts)),
            heights,
            stepMode="center",
            fillLevel=LOG_FLOOR,
            brush=filling,
            pen=canvas.pen(color, 1.2),
        )
    )


def draw_band(canvas: Canvas, low: float, high: float, color: QColor, opacity: float = 0.10) -> None:
    """Shade a range of x over the whole height."""
    shade = QColor(color)
    shade.setAlphaF(opacity)
    band = pg.LinearRegionItem((low, high), movable=False, brush=shade, pen=pg.mkPen(None))
    band.setZValue(-20)
    canvas.plot.addItem(band, ignoreBounds=True)


def draw_limit(canvas: Canvas, x: float, color: QColor) -> None:
    """A dashed vertical line that ends below the key."""
    line = pg.InfiniteLine(x, angle=90, pen=canvas.pen(color, 1.2, Qt.PenStyle.DashLine), span=(0, 0.87))
    canvas.plot.addItem(line, ignoreBounds=True)
