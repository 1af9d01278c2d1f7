"""The Inspect page with content: map and table at the left, the tensor in detail at the right."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QSplitter, QStackedLayout, QWidget

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.inspect.compare_menu import CompareMenu
from quantgui.gui.inspect.plot_column import PlotColumn
from quantgui.gui.inspect.tensors_card import TensorsCard
from quantgui.gui.plots import Subject, discover
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.throttle import Throttle
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.empty_state import EmptyState
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.jobs.events import Failed
from quantgui.jobs.fold import RunState, RunStatus
from quantgui.jobs.job import InspectJob, QuantizeJob
from quantgui.report.findings import describe_recipe, measured, worst
from quantgui.types import UserError

REDRAW_MS = 150
SIZES_KEY = "inspect.sizes"


class InspectView(QWidget):
    """Pulls the run from the state a few times a second while it can be seen."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._error: UserError | None = None
        self._frame = PageFrame("Inspect")
        plots = discover()
        self._maps: list[PlotPanel] = [plot.make(state) for plot in plots if plot.subject is Subject.MODEL]
        self._tensors = TensorsCard(state)
        self._plots = PlotColumn(state, plots)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._nothing_yet())
        self._stack.addWidget(self._frame)
        self._lay_out()
        self._throttle = Throttle(REDRAW_MS, self._show, self)
        self._connect()
        self._show()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what happened while the page was hidden."""
        super().showEvent(event)
        self._throttle.now()

    def _nothing_yet(self) -> QWidget:
        return EmptyState(
            "inspect",
            "Nothing has been measured yet",
            "Here you see each tensor's weights before and after quantization, and where in the model the error sits. "
            "Start a run, or measure the open model as it is.",
            "Measure the open model",
            self._measure,
        )

    def _lay_out(self) -> None:
        self._map_card = Card()
        for panel in self._maps:
            self._map_card.body.addWidget(panel)
        left = QSplitter(Qt.Orientation.Vertical)
        left.addWidget(self._map_card)
        left.addWidget(self._tensors)
        left.setSizes([300, 360])
        self._columns = columns = QSplitter(Qt.Orientation.Horizontal)
        columns.addWidget(left)
        columns.addWidget(self._plots)
        columns.setSizes([630, 450])
        for splitter in (left, columns):
            splitter.setChildrenCollapsible(False)
            splitter.setHandleWidth(14)
        remembered = self._state.remembered(SIZES_KEY)
        if remembered:
            columns.restoreState(QByteArray.fromBase64(remembered.encode()))
        columns.splitterMoved.connect(self._remember_sizes)
        self._frame.body.addWidget(columns, 1)
        self._measure_button = button("Measure the open model", self._measure, icon="refresh")
        self._compare_button = button(
            "Compare with…", icon="inspect", tip="What quantization changed in the open model"
        )
        self._compare_button.setMenu(CompareMenu(self._state, self._compare_button))
        for made in (self._measure_button, self._compare_button):
            self._frame.buttons.addWidget(made)
        self._report = button("Report", lambda: self._state.request_page("report"), icon="report", primary=True)
        self._frame.buttons.addWidget(self._report)

    def _connect(self) -> None:
        state = self._state
        state.run_changed.connect(self._throttle.request)
        state.checkpoint_changed.connect(self._throttle.request)
        state.selection_changed.connect(self._selected)
        self._tensors.chosen.connect(state.select_tensor)
        for source in (self._tensors, self._plots, *self._maps):
            source.failed.connect(self._export_failed)

    def _measure(self) -> None:
        if self._state.checkpoint is None:
            self._state.open_model("demo")
        else:
            self._state.start_inspect()

    def _export_failed(self, error: UserError) -> None:
        self._error = error
        self._throttle.now()

    def _selected(self) -> None:
        self._error = None
        if self.isVisible():
            self._throttle.now()

    def _remember_sizes(self) -> None:
        self._state.remember(SIZES_KEY, bytes(self._columns.saveState().toBase64().data()).decode())

    def _show(self) -> None:
        run = self._state.run
        if run is None or (not run.reports and run.status is not RunStatus.RUNNING and not _failure(run)):
            self._stack.setCurrentIndex(0)
            return
        self._stack.setCurrentIndex(1)
        self._select_something(run)
        self._frame.set_title(_title(run), _subtitle(run))
        self._frame.show_error(self._error or _failure(run))
        is_inspection = isinstance(run.job, InspectJob)
        is_changed = not is_inspection or bool(measured(run.reports.values()))
        self._map_card.setHidden(not is_changed)
        for made in (self._measure_button, self._compare_button):
            made.setVisible(self._state.checkpoint is not None and run.status is not RunStatus.RUNNING)
        self._report.setVisible(not is_inspection and run.status is RunStatus.FINISHED)
        for panel in self._maps:
            panel.refresh()
        self._tensors.show_reports(run.reports, self._state.selected_tensor, is_changed=is_changed)
        self._plots.refresh()

    def _select_something(self, run: RunState) -> None:
        """After the end something is always selected: the worst tensor where nobody has chosen another."""
        if run.status is RunStatus.RUNNING or not run.reports or self._state.selected_tensor in run.reports:
            return
        lowest = worst(run.reports.values(), 1)
        self._state.select_tensor(lowest[0].name if lowest else next(iter(run.reports)))


def _failure(run: RunState) -> UserError | None:
    if isinstance(run.outcome, Failed):
        return UserError(run.outcome.message, hint=run.outcome.hint, details=run.outcome.details)
    return None


def _title(run: RunState) -> str:
    if run.status is RunStatus.RUNNING:
        is_counting = run.fraction is not None and run.fraction < 1
        return f"{run.stage} {100 * (run.fraction or 0):.0f}{units.NBSP}%" if is_counting else run.stage
    lowest = worst(run.reports.values(), 1)
    if lowest and lowest[0].error:
        return f"{lowest[0].short_name} is furthest from the original: {units.decibels(lowest[0].error.sqnr_db)}"
    return f"{units.count(len(run.reports))} tensors measured"


def _subtitle(run: RunState) -> str:
    if isinstance(run.job, QuantizeJob):
        return f"{describe_recipe(run.job.recipe)} · {run.job.output}"
    words = [run.job.source] if isinstance(run.job, InspectJob) else []
    if isinstance(run.job, InspectJob) and run.job.against:
        words.append(f"against {run.job.against}")
    if run.status is not RunStatus.RUNNING and run.reports:
        words.append(units.bits_per_weight(run.reports.bits_per_weight))
    return " · ".join(words)
