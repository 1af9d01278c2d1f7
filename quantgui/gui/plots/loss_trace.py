"""The loss of a training, step by step: each batch's own, which jumps, and the smoothed one, which tells."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from quantgui import units
from quantgui.gui import theme
from quantgui.gui.plots import Source
from quantgui.gui.plots.axes import ValueAxis
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.plots.canvas import Canvas
from quantgui.gui.plots.table_data import TableData
from quantgui.jobs.training_trace import LossPoint, TrainingTrace, smoothed

TITLE = "Loss of the training"


class LossTrace(PlotPanel):
    """Two curves over the steps; the whole width is the steps asked for, so that what is left can be seen."""

    def __init__(self, source: Source) -> None:
        self._bottom, self._left = ValueAxis("bottom", "Step"), ValueAxis("left", "Loss (nats per token)")
        self.canvas = Canvas(self._bottom, self._left)
        super().__init__(TITLE, self.canvas)
        self._source = source
        self._drawn: TrainingTrace | None = None
        self.canvas.hovered.connect(self._hovered)
        self.canvas.left.connect(lambda: self.set_readout(""))
        self.canvas.restyled.connect(self._redraw)
        self._redraw()

    def refresh(self) -> None:
        """Draw the newest steps."""
        if self._trace() is not self._drawn:
            self._redraw()

    def reset_view(self) -> None:
        """Undo every zoom."""
        self.canvas.go_home()

    def table(self) -> TableData:
        """One row per point."""
        points = self._points()
        rows = [(p.step, p.loss, value) for p, value in zip(points, smoothed([p.loss for p in points]), strict=True)]
        return TableData(("step", "loss (nats per token)", "smoothed"), rows)

    def _trace(self) -> TrainingTrace | None:
        return self._source.run.training if self._source.run else None

    def _points(self) -> tuple[LossPoint, ...]:
        trace = self._trace()
        return trace.points if trace is not None else ()

    def _redraw(self) -> None:
        self._drawn = trace = self._trace()
        points = self._points()
        if trace is None or len(points) < 2:
            self.show_empty("The loss is drawn from the second step on.")
            return
        colors = theme.current()
        steps = np.array([p.step for p in points])
        losses = np.array([p.loss for p in points])
        smooth = np.array(smoothed(losses.tolist()))
        self.canvas.clear_items()
        self.canvas.plot.addItem(pg.PlotCurveItem(steps, losses, pen=self.canvas.pen(colors.muted, 1)))
        self.canvas.plot.addItem(pg.PlotCurveItem(steps, smooth, pen=self.canvas.pen(colors.after, 2)))
        self.canvas.set_key([("smoothed", colors.after), ("each step", colors.muted)])
        low, high = float(losses.min()), float(losses.max())
        room = (high - low or abs(high) or 1.0) * 0.12
        self.canvas.set_home((0, max(trace.steps, int(steps[-1]))), (low - room, high + 2 * room))
        self.show_plot(
            f"{units.count(trace.step)} of {units.count(trace.steps)} steps · now {units.digits(smooth[-1], 3)} "
            f"nats per token, at first {units.digits(losses[0], 3)}"
        )

    def _hovered(self, x: float) -> None:
        points = self._points()
        if points and not self.is_empty:
            point = min(points, key=lambda p: abs(p.step - x))
            self.set_readout(f"step {units.count(point.step)}: {units.digits(point.loss, 4)}")
