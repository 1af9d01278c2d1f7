"""What the plots of one tensor share: which report is shown, and what stands there when there is none."""

from __future__ import annotations

from quantgui.gui.plots import Source
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.plots.canvas import Canvas
from quantgui.types import TensorReport


def shown_report(source: Source) -> TensorReport | None:
    """The report of the selected tensor; without a selection that of the tensor that was finished last."""
    run = source.run
    if run is None or not run.reports:
        return None
    if source.selected_tensor is not None:
        return run.reports.get(source.selected_tensor)
    return run.reports.since(len(run.reports) - 1)[0]


class TensorPlot(PlotPanel):
    """Subclasses say what they cannot show (`objection`) and draw the rest (`draw`)."""

    def __init__(self, title: str, canvas: Canvas, source: Source) -> None:
        super().__init__(title, canvas)
        self.canvas = canvas
        self._source = source
        self._drawn: TensorReport | None = None
        canvas.hovered.connect(self._hovered)
        canvas.left.connect(lambda: self.set_readout(""))
        canvas.restyled.connect(self.redraw)
        self.redraw()

    def refresh(self) -> None:
        """Draw the tensor that is shown now, unless it is drawn already."""
        if shown_report(self._source) is not self._drawn:
            self.redraw()

    def reset_view(self) -> None:
        """Undo every zoom."""
        self.canvas.go_home()

    def export_caption(self) -> str:
        """With the tensor's full name."""
        return f"{self.report.name} · {self.caption}"

    def objection(self, report: TensorReport) -> str:
        """Why there is nothing to draw for this tensor, "" where there is."""
        raise NotImplementedError

    def draw(self, report: TensorReport) -> str:
        """Draw into the cleared canvas. Returns the caption: what was found, in one line."""
        raise NotImplementedError

    def readout(self, report: TensorReport, x: float) -> str:
        """The values at `x`."""
        raise NotImplementedError

    @property
    def report(self) -> TensorReport:
        """The report that is drawn. Raises LookupError where none is."""
        if self._drawn is None:
            raise LookupError("no tensor is drawn")
        return self._drawn

    def redraw(self) -> None:
        """Draw what is shown now, whatever was drawn before."""
        self._drawn = report = shown_report(self._source)
        sentence = self._nothing_yet() if report is None else self.objection(report)
        if report is None or sentence:
            self.show_empty(sentence)
            return
        self.canvas.clear_items()
        self.show_plot(self.draw(report))

    def _nothing_yet(self) -> str:
        if self._source.selected_tensor and self._source.run and self._source.run.outcome is None:
            return "The run has not reached this tensor yet."
        return "Select a tensor to see it here."

    def _hovered(self, x: float) -> None:
        if self._drawn is not None and not self.is_empty:
            self.set_readout(self.readout(self._drawn, x))
