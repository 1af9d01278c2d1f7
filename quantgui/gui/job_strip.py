"""The running job in the top bar: name, percent, time left, cancel. Hidden while nothing runs."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.widgets.buttons import icon_button
from quantgui.gui.widgets.text import label, small
from quantgui.jobs.fold import RunState, RunStatus
from quantgui.jobs.job import (
    EvaluateJob,
    ExportJob,
    GenerateJob,
    HandOverJob,
    ImatrixJob,
    InspectJob,
    Job,
    QuantizeJob,
    VerifyJob,
)


class JobStrip(QWidget):
    """Redraws with every new snapshot of the run, at most twenty times a second."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._name = label(role="strong")
        self._words = small(wrap=False)
        self._bar = QProgressBar()
        self._bar.setRange(0, 1000)
        self._bar.setTextVisible(False)
        self._bar.setMinimumWidth(230)
        self._bar.setAccessibleName("Progress of the running job")
        line = QHBoxLayout()
        line.addWidget(self._name)
        line.addStretch(1)
        line.addWidget(self._words)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addLayout(line)
        column.addWidget(self._bar)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(column)
        layout.addWidget(icon_button("close", "Cancel the running job", state.cancel_run))
        state.runs.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        run = self._state.runs.at_work or self._state.run
        running = run is not None and run.status is RunStatus.RUNNING
        self.setVisible(running)
        if run is None or not running:
            return
        fraction = run.fraction
        self._name.setText(job_title(run.job))
        self._bar.setRange(0, 0 if fraction is None or fraction >= 1 else 1000)
        self._bar.setValue(round(1000 * (fraction or 0)))
        self._words.setText(_progress(run))


def job_title(job: Job) -> str:
    """What a job does, in two words."""
    if isinstance(job, QuantizeJob):
        return f"Quantizing to {job.recipe.name or job.recipe.base.id}"
    if isinstance(job, InspectJob):
        return "Inspecting"
    if isinstance(job, EvaluateJob):
        return "Measuring quality"
    if isinstance(job, GenerateJob):
        return "Trying it out"
    if isinstance(job, HandOverJob):
        return "Handing over"
    if isinstance(job, ExportJob):
        return "Exporting"
    if isinstance(job, ImatrixJob):
        return "Computing importance"
    return "Verifying" if isinstance(job, VerifyJob) else "Reading"


def _progress(run: RunState) -> str:
    if run.fraction is None or run.fraction >= 1:  # at work, but nothing is left to count
        return run.stage
    parts = [f"{100 * run.fraction:.0f}{formatting.NBSP}%"]
    if run.seconds_left is not None:
        parts.append(f"{formatting.duration(run.seconds_left)} left")
    return " · ".join(parts)
