"""A small step over the window: what a job needs is asked, then it is followed to its end."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QFormLayout, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.run_control import RunControl
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.text import muted, title
from quantgui.jobs.events import Cancelled, Failed, Finished
from quantgui.jobs.fold import RunState
from quantgui.types import UserError

WIDTH = 560
_STEPS = 1000


@dataclass(frozen=True)
class StepWords:
    """What a step says: name of the window, title and explanation before, the button, and the title afterwards."""

    name: str
    title: str
    explanation: str
    action: str
    done: str


class JobDialog(QDialog):
    """Subclasses fill `form`, connect what changes there to `refresh`, and say in `begin` what to start.

    Closing it leaves the job at work: the top bar shows it, and a message tells its end.
    """

    def __init__(self, state: AppState, control: RunControl, words: StepWords, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(words.name)
        self.setFixedWidth(min(WIDTH, parent.width() - 40))
        self.state, self._control, self._said = state, control, words
        self._started = control.is_running
        self._shown_outcome: object = None
        self._title, self._explanation = title(words.title), muted(words.explanation)
        self._fields = QWidget()
        self.form = QFormLayout(self._fields)
        self._result = Facts()
        self._words = muted()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(f"Progress: {words.name}")
        self._error = ErrorSlot()
        self._close = button("Close", self.close)
        self._cancel = button("Cancel", state.cancel_run, icon="stop")
        self._start = button(words.action, self.start, icon="run", primary=True)
        self._fitting = QTimer(self, singleShot=True, interval=0)  # widgets that have just come have a size by then
        self._fitting.timeout.connect(self._fit)
        self._lay_out()
        state.runs.changed.connect(self.refresh)
        control.is_watched = True
        self.finished.connect(self._unwatch)

    def begin(self) -> None:
        """Start the job with what is chosen here."""
        raise NotImplementedError

    def objection(self) -> str:
        """Why it cannot be started as it stands, "" where it can."""
        return ""

    def facts(self, outcome: Finished) -> list[Fact]:
        """What came out."""
        raise NotImplementedError

    def remark(self, outcome: Finished) -> str:
        """What a person should know about the result, "" for nothing."""
        return ""

    def start(self) -> None:
        """The primary button; does nothing while something objects."""
        if not self._blocked():
            self._started = True
            self.begin()

    def refresh(self) -> None:
        """Show what is so now."""
        run = self._control.state if self._started else None
        job = run if run is not None and self._control.is_running else None
        outcome = run.outcome if run is not None else None
        done = outcome if isinstance(outcome, Finished) and job is None else None
        self._fields.setEnabled(job is None)
        for widget in (self._fields, self._explanation):
            widget.setVisible(done is None)
        self._cancel.setVisible(job is not None)
        self._start.setVisible(job is None and done is None)
        self._start.setEnabled(not self._blocked())
        self._show_progress(job)
        self._show_words(job, outcome)
        self._title.setText(self._said.title if done is None else self._said.done)
        self._close.setText("Close" if done is None else "Done")
        self._result.setVisible(done is not None)
        self._result.set_facts(self.facts(done) if done is not None else [])
        self._fitting.start()

    def showEvent(self, event: QShowEvent) -> None:
        """The keyboard comes to the fields first; without this to the buttons, which are made before them."""
        for widget in (self._close, self._cancel, self._start):
            if (last := self.previousInFocusChain()) is not None:
                self.setTabOrder(last, widget)
        super().showEvent(event)

    def _lay_out(self) -> None:
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setHorizontalSpacing(16)
        self.form.setVerticalSpacing(8)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        for widget in (self._close, self._cancel, self._start):
            buttons.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 16, 20, 18)
        layout.setSpacing(12)
        for widget in (self._title, self._explanation, self._fields, self._result, self._words, self._bar, self._error):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addLayout(buttons)

    def _blocked(self) -> str:
        return self.state.runs.busy_words(self._control) or self.objection()

    def _show_progress(self, job: RunState | None) -> None:
        self._bar.setVisible(job is not None)
        if job is not None:
            is_counting = job.fraction is not None and job.fraction < 1
            self._bar.setRange(0, _STEPS if is_counting else 0)
            self._bar.setValue(round(_STEPS * (job.fraction or 0)))

    def _show_words(self, job: RunState | None, outcome: object) -> None:
        """What is going on, what stands in the way, or how the last job ended."""
        words = self._blocked()
        if job is not None:
            words = job.stage if not job.fraction else f"{job.stage}: {progress_words(job)}"
        elif isinstance(outcome, Finished):
            words = self.remark(outcome)
        elif isinstance(outcome, Cancelled) and not words:
            words = "Cancelled; nothing was written."
        self._words.setText(words)
        self._words.setVisible(bool(words))
        if outcome is not self._shown_outcome:
            self._shown_outcome = outcome
            failed = outcome if isinstance(outcome, Failed) else None
            error = failed and UserError(failed.message, hint=failed.hint, details=failed.details)
            self._error.show_error(error or None)

    def _unwatch(self) -> None:
        self._control.is_watched = False

    def _fit(self) -> None:
        """As tall as what is shown: words of several lines need more room when they are wrapped."""
        layout = self.layout()
        assert layout is not None
        self._result.updateGeometry()  # its rows have come after it was measured
        layout.activate()
        self.setFixedHeight(layout.totalHeightForWidth(self.width()))


def progress_words(run: RunState) -> str:
    """ "45 %, about 10 s left", or the stage where nothing is counted yet."""
    if run.fraction is None or run.fraction >= 1:
        return run.stage
    percent = f"{100 * run.fraction:.0f}{units.NBSP}%"
    return percent if run.seconds_left is None else f"{percent}, about {units.duration(run.seconds_left)} left"
