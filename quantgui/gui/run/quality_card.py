"""What a run did to the quality: perplexity before and after on the same text, paired token by token."""

from __future__ import annotations

from PySide6.QtWidgets import QProgressBar

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.text import label, muted
from quantgui.jobs.events import Evaluation, Failed, Finished, QuantizeResult
from quantgui.jobs.fold import RunState, RunStatus
from quantgui.jobs.job import EvaluateJob
from quantgui.report.findings import difference_words, quality_facts
from quantgui.types import UserError

_STEPS = 1000
_ASKS = "Perplexity says how well the model still predicts text: the original and the result read the same one."


class QualityCard(Card):
    """Follows the state's measurement as long as it is about this run's result."""

    def __init__(self, state: AppState, result: QuantizeResult) -> None:
        super().__init__("Does it still predict text?")
        self._state, self._result = state, result
        self._error = ErrorSlot()
        self._failed: object = None  # the failure that is shown
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of the measurement")
        self._words = muted(_ASKS)
        self._outcome = Facts()
        self._verdict = label(wrap=True)
        self._measure = button("Measure quality", self._start, icon="quality")
        self._cancel = button("Cancel", state.cancel_run, icon="stop")
        for widget in (self._words, self._bar, self._outcome, self._verdict, self._error):
            self.body.addWidget(widget)
        for widget in (self._measure, self._cancel):
            self.header.addWidget(widget)
        for signal in (state.runs.quality.changed, state.run_changed):
            signal.connect(self._show)
        self._show()

    def _start(self) -> None:
        self._state.runs.measure_quality(self._result)

    def _show(self) -> None:
        measured = self._measurement()
        is_running = measured is not None and measured.status is RunStatus.RUNNING
        outcome = measured.outcome if measured is not None else None
        evaluation = outcome.evaluation if isinstance(outcome, Finished) else None
        self._measure.setVisible(not is_running and evaluation is None)
        self._measure.setEnabled(self._state.runs.at_work is None)
        self._cancel.setVisible(is_running)
        self._bar.setVisible(is_running)
        self._words.setVisible(evaluation is None)
        self._words.setText(_progress(measured) if is_running and measured is not None else _ASKS)
        if is_running and measured is not None:
            fraction = measured.fraction
            self._bar.setRange(0, 0 if fraction is None else _STEPS)
            self._bar.setValue(round(_STEPS * (fraction or 0)))
        if not isinstance(outcome, Failed):
            self._error.show_error(None)
        elif outcome is not self._failed:
            self._error.show_error(UserError(outcome.message, hint=outcome.hint, details=outcome.details))
        self._failed = outcome
        self._outcome.setVisible(evaluation is not None)
        self._verdict.setVisible(evaluation is not None)
        if evaluation is not None:
            self._outcome.set_facts(_facts(evaluation))
            self._verdict.setText(difference_words(evaluation.against) if evaluation.against else "")

    def _measurement(self) -> RunState | None:
        measured = self._state.runs.quality.state
        if measured is None or not isinstance(measured.job, EvaluateJob):
            return None
        return measured if measured.job.source == self._result.output else None


def _progress(measured: RunState) -> str:
    parts = [measured.stage]
    if measured.stage_detail:
        parts[0] += f": {measured.stage_detail}"
    if measured.fraction:
        parts.append(units.percent(measured.fraction))
    if measured.seconds_left is not None:
        parts.append(f"about {units.duration(measured.seconds_left)} left")
    return " · ".join(parts)


def _facts(evaluation: Evaluation) -> list[Fact]:
    tip = "± is one standard error"
    return [
        Fact(title, words, "Perplexity" if title.startswith("Perplexity") else "", tip)
        for title, words in quality_facts(evaluation).items()
    ]
