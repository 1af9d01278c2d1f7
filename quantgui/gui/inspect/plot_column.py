"""The plots about one tensor and about the run, one below the other; found by their place in the plots folder."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from quantgui import units
from quantgui.gui.plots import Plot, Source, Subject
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.plots.tensor_plot import shown_report
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.text import heading, muted
from quantgui.jobs.job import Job
from quantgui.types import TensorReport

PLOT_HEIGHT = 226
LEAST_WIDTH = 344


class PlotColumn(QScrollArea):
    """Names the tensor that is shown and holds its plots."""

    failed = Signal(object)  # UserError of an export

    def __init__(self, source: Source, plots: tuple[Plot, ...]) -> None:
        super().__init__()
        self._source = source
        self._name = heading()
        self._facts = muted()
        self._panels: list[tuple[PlotPanel, Card, Subject]] = []
        self._selected: str | None = None
        self._job: Job | None = None
        self._turn = 0
        content = QWidget()
        content.setProperty("role", "plain")
        self._layout = QVBoxLayout(content)
        self._layout.setContentsMargins(0, 0, 8, 0)
        self._layout.setSpacing(12)
        self._layout.addWidget(self._name)
        self._layout.addWidget(self._facts)
        for plot in plots:
            if plot.subject is not Subject.MODEL:
                self._add(plot)
        self._layout.addStretch(1)
        self.setWidgetResizable(True)
        self.setMinimumWidth(LEAST_WIDTH)
        self.setAccessibleName("Plots of the tensor")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidget(content)

    def refresh(self) -> None:
        """Draw the tensor that is shown now."""
        report = shown_report(self._source)
        if report is not None:
            self._name.setText(report.short_name)
            self._name.setToolTip(report.name)
            self._facts.setText(_facts(report))
        for panel, card, subject in self._due():
            panel.refresh()
            card.setHidden(subject is Subject.RUN and panel.is_empty)

    def _due(self) -> list[tuple[PlotPanel, Card, Subject]]:
        """All plots; while a run is at work one after the other, so that no redraw keeps the window waiting."""
        run, selected = self._source.run, self._source.selected_tensor
        is_filling = run is not None and run.outcome is None and (run.fraction is None or run.fraction < 1)
        job = run.job if run is not None else None
        if not is_filling or selected != self._selected or job is not self._job:
            self._selected, self._job = selected, job
            return self._panels
        self._turn = (self._turn + 1) % len(self._panels)
        return [self._panels[self._turn]]

    def _add(self, plot: Plot) -> None:
        panel = plot.make(self._source)
        panel.failed.connect(self.failed)
        card = Card()
        card.body.addWidget(panel)
        card.setMinimumHeight(PLOT_HEIGHT)
        card.setAccessibleName(plot.title)
        self._layout.addWidget(card, 1)
        self._panels.append((panel, card, plot.subject))


def _facts(report: TensorReport) -> str:
    parts = [units.shape(report.shape), report.scheme_id or "kept as it was", units.bits_per_weight(report.bits)]
    if report.bytes_after != report.bytes_before:
        parts.append(f"{units.file_size(report.bytes_after)} instead of {units.file_size(report.bytes_before)}")
    else:
        parts.append(units.file_size(report.bytes_before))
    return " · ".join(parts)
