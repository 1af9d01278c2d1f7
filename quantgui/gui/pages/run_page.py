"""Quantize: before, what will happen; during, how far it is; after, what it did. Beside it the finished runs."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QSizePolicy, QStackedLayout, QStackedWidget, QWidget

from quantgui.gui.app_state import AppState
from quantgui.gui.importance.dialog import show_importance_dialog
from quantgui.gui.importance.note import COMPUTE
from quantgui.gui.pages import Page
from quantgui.gui.recipe.plan import finding
from quantgui.gui.run.library_panel import FOLDERS_KEY, LibraryPanel
from quantgui.gui.run.places import remember_folder
from quantgui.gui.run.prepare_panel import PreparePanel
from quantgui.gui.run.progress_panel import ProgressPanel, progress_title
from quantgui.gui.run.result_panel import ResultPanel, result_title
from quantgui.gui.throttle import Throttle
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.empty_state import EmptyState
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.jobs.events import Finished
from quantgui.jobs.fold import RunStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.types import UserError

LIBRARY_WIDTH = 330
REDRAW_MS = 100
CLOCK_MS = 1000
_BEING_COMPUTED = "The importance matrix is being computed; the run can start when it is ready."


class RunPage(QWidget):
    """Shows one of three panels, by what the state says; `set_up_again` puts an ended run aside."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._aside: object = None  # the outcome that the person has put aside
        self._frame = PageFrame("Run")
        self._prepare = PreparePanel(state)
        self._progress = ProgressPanel(state)
        self._result = ResultPanel(state)
        self._library = LibraryPanel(state)
        self._panels = QStackedWidget()
        for panel in (self._prepare, self._progress, self._result):
            self._panels.addWidget(_scrolling(panel) if panel is not self._progress else panel)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._nothing_open())
        self._stack.addWidget(self._frame)
        self._throttle = Throttle(REDRAW_MS, self._show, self)
        self._clock = QTimer(self, interval=CLOCK_MS)  # time goes by even where the child is silent
        self._clock.timeout.connect(self._throttle.request)
        self._lay_out()
        self._connect()
        self._show()

    def start(self) -> None:
        """Start the run as it is set up: the primary button, and Ctrl+R."""
        if not self._state.runs.main.is_running:
            self._prepare.start()

    def set_up_again(self) -> None:
        """Put the ended run aside and show the settings of the next one."""
        self._prepare.refresh()
        self._put_aside()

    def _put_aside(self) -> None:
        run = self._state.run
        self._aside = run.outcome if run else None
        self._show()

    def showEvent(self, event: QShowEvent) -> None:
        """Look at the disk again: it may have changed."""
        super().showEvent(event)
        self._remember_place()
        self._library.refresh()
        self._prepare.refresh()
        self._show()

    def _nothing_open(self) -> QWidget:
        return EmptyState(
            "run",
            "No model is open",
            "A run writes a quantized copy of a model and measures what that did to every tensor.",
            "Try it on the bundled model",
            lambda: self._state.open_model("demo"),
        )

    def _lay_out(self) -> None:
        columns = QHBoxLayout()
        columns.setSpacing(14)
        columns.addWidget(self._panels, 1)
        self._library.setFixedWidth(LIBRARY_WIDTH)
        columns.addWidget(self._library)
        self._frame.body.addLayout(columns, 1)
        self._again = button("Set up another run", self.set_up_again)
        self._report = button("Report", lambda: self._state.request_page("report"), icon="report")
        self._inspect = button("Inspect", lambda: self._state.request_page("inspect"), icon="inspect", primary=True)
        self._convert = button(
            "Stop here and convert", self._state.runs.stop_training, tip="Keep what the training has learned so far"
        )
        self._cancel = button("Cancel", self._state.cancel_run, icon="stop")
        self._start = button("Quantize", self.start, icon="run", primary=True, tip="Ctrl+R")
        self._actions = (self._again, self._report, self._inspect, self._convert, self._cancel, self._start)
        for widget in self._actions:
            self._frame.buttons.addWidget(widget)

    def _connect(self) -> None:
        state = self._state
        state.run_changed.connect(self._throttle.request)
        state.runs_changed.connect(self._ended)
        state.runs.changed.connect(self._throttle.request)
        state.checkpoint_changed.connect(self._throttle.request)
        state.recipe_changed.connect(self._put_aside)
        self._prepare.changed.connect(self._throttle.request)
        self._library.opened.connect(self._open)

    def _open(self, folder: str) -> None:
        self._aside = None
        self._state.load_run(folder)

    def _ended(self) -> None:
        """A run has ended, or one was deleted."""
        self._remember_place()
        if self.isVisible():
            self._library.refresh()
            self._throttle.now()

    def _remember_place(self) -> None:
        """Finished runs are also looked for where this one was written."""
        run = self._state.run
        if run and isinstance(run.outcome, Finished) and run.outcome.quantized is not None:
            known = self._state.remembered(FOLDERS_KEY)
            output = run.outcome.quantized.output
            self._state.remember(FOLDERS_KEY, remember_folder(known, output, self._state.outputs_folder))

    def _show(self) -> None:
        run = self._state.run
        is_running = run is not None and run.status is RunStatus.RUNNING
        is_over = (
            run is not None and not is_running and isinstance(run.job, QuantizeJob) and run.outcome is not self._aside
        )
        self._stack.setCurrentIndex(1 if self._state.checkpoint is not None or is_running or is_over else 0)
        had_focus = any(widget.hasFocus() for widget in self._actions)
        for widget, is_shown in (
            (self._again, is_over),
            (self._report, is_over and run is not None and run.status is RunStatus.FINISHED),
            (self._inspect, is_over and run is not None and bool(run.reports)),
            (self._convert, run is not None and run.is_training),
            (self._cancel, is_running),
            (self._start, not is_running and not is_over),
        ):
            widget.setVisible(is_shown)
        if had_focus:  # a button that goes away would hand the focus to the rail
            next(widget for widget in reversed(self._actions) if not widget.isHidden()).setFocus()
        if is_running != self._clock.isActive():
            self._clock.start() if is_running else self._clock.stop()
        if is_running and run is not None:
            self._panels.setCurrentIndex(1)
            self._progress.show_run(run, self._state.checkpoint)
            self._frame.set_title(progress_title(run))
            self._frame.show_error(None)
        elif is_over and run is not None:
            self._panels.setCurrentIndex(2)
            self._result.show_run(run)
            self._frame.set_title(result_title(run))
            self._frame.show_error(None)
        else:
            self._show_preparation()

    def _show_preparation(self) -> None:
        self._panels.setCurrentIndex(0)
        plan, objection = self._prepare.plan, self._prepare.objection
        question = self._prepare.question
        if self._state.plans.is_pending:
            self._frame.set_title("Planning the run …")
        elif self._state.checkpoint is not None and plan.error is None:
            words = question or "Nothing is written before you press Quantize."
            self._frame.set_title(finding(plan, self._state.recipe), words)
        else:
            self._frame.set_title("This run cannot start yet")
        remedy = self._remedy(objection)
        if remedy is not None and self._state.importance.job is not None:
            self._frame.set_title(finding(plan, self._state.recipe), _BEING_COMPUTED)
            objection = None
        self._frame.show_error(None if question else objection, remedy=remedy)
        busy = self._state.runs.busy_words(self._state.runs.main)
        self._start.setEnabled(self._prepare.is_ready and not busy)
        self._start.setToolTip(busy or "Ctrl+R")

    def _remedy(self, objection: UserError | None) -> tuple[str, Callable[[], object]] | None:
        """What a click can do about the objection: compute the importance matrix that a type needs."""
        importance = self._state.importance
        lacks = self._prepare.plan.needs_imatrix and not importance.path
        is_wrong = importance.chosen is not None and importance.chosen.error is objection
        if objection is None or not (lacks or is_wrong) or importance.objection:
            return None
        return COMPUTE, lambda: show_importance_dialog(self._state, self.window())


def _scrolling(content: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
    content.setProperty("role", "plain")
    layout = content.layout()
    if layout is not None:
        layout.setContentsMargins(0, 0, 10, 0)
    area.setWidget(content)
    area.setAccessibleName("Run")
    return area


PAGE = Page(
    "run",
    "Run",
    40,
    "run",
    RunPage,
    tip="Writes the quantized model: what will happen, how far it is, and what came out.",
)
