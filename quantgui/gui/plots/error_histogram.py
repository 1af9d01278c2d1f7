"""The error W − Ŵ of one tensor, against half a quantization step to either side."""

from __future__ import annotations

from quantgui import units
from quantgui.gui import theme
from quantgui.gui.plots import Plot, Source, Subject
from quantgui.gui.plots.axes import LOG_FLOOR, CountAxis, ValueAxis
from quantgui.gui.plots.canvas import Canvas
from quantgui.gui.plots.histogram_drawing import bin_at, draw_limit, draw_steps, edges, has_counts, occupied, top_of
from quantgui.gui.plots.table_data import TableData
from quantgui.gui.plots.tensor_plot import TensorPlot
from quantgui.types import TensorReport

TITLE = "Error W − Ŵ"


class ErrorHistogram(TensorPlot):
    """Errors in purple; rounding alone keeps them within ± half a step, what lies beyond was clipped."""

    def __init__(self, source: Source) -> None:
        canvas = Canvas(ValueAxis("bottom", "Error of a weight"), CountAxis("left", "Count"))
        super().__init__(TITLE, canvas, source)

    def objection(self, report: TensorReport) -> str:
        """A tensor that was kept has no error."""
        if report.scheme_id is None:
            return f"Kept as it was, so there is no error. {report.why_kept}".strip()
        if report.error is not None and report.error.max_abs == 0:
            return "Every weight is represented exactly."
        return "" if has_counts(report.difference) else "No error was computed for this tensor."

    def draw(self, report: TensorReport) -> str:
        """Bars and the two lines at half a step."""
        colors = theme.current()
        assert report.difference is not None
        low, high = occupied(report.difference)
        reach = max(abs(low), abs(high))
        draw_steps(self.canvas, report.difference, colors.color("error"), 0.40)
        key = [("W − Ŵ", colors.error)]
        if report.step:
            reach = max(reach, 0.6 * report.step)
            for edge in (-report.step / 2, report.step / 2):
                draw_limit(self.canvas, edge, colors.color("muted"))
            key.append((f"± half a step, {units.scientific(report.step / 2)}", colors.muted))
        self.canvas.set_key(key)
        self.canvas.set_home((-reach * 1.02, reach * 1.02), (LOG_FLOOR, top_of(report.difference)))
        return _caption(report)

    def readout(self, report: TensorReport, x: float) -> str:
        """Count of the bin under the pointer."""
        assert report.difference is not None
        index = bin_at(report.difference, x)
        number = 0 if index is None else report.difference.counts[index]
        return f"near {units.scientific(x)}: {units.count(number)} weights"

    def table(self) -> TableData:
        """One row per bin."""
        difference = self.report.difference
        if difference is None:
            return TableData((), ())
        borders = edges(difference, len(difference.counts))
        rows = [
            (float(low), float(high), count)
            for low, high, count in zip(borders[:-1], borders[1:], difference.counts, strict=True)
        ]
        return TableData(("from", "to", "weights"), rows)


def _caption(report: TensorReport) -> str:
    if report.error is None:
        return ""
    words = [
        f"SQNR {units.decibels(report.error.sqnr_db)}",
        f"largest error {units.scientific(report.error.max_abs)}",
        f"MSE {units.scientific(report.error.mse)}",
    ]
    return " · ".join(words)


PLOT = Plot("error-histogram", TITLE, 20, Subject.TENSOR, ErrorHistogram)
