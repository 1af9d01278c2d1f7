"""Try it: a text that the quantized model and its original continue side by side, with their speed and memory."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from quantgui import units
from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.number_box import decimal_number, whole_number
from quantgui.gui.widgets.text import label, muted, small
from quantgui.jobs.events import Failed, Finished, Generation, QuantizeResult
from quantgui.jobs.fold import RunState, RunStatus
from quantgui.types import UserError

PROMPT = "The most important thing about a good tool is"
TOKENS, MOST_TOKENS = 64, 4096
TEXT_HEIGHT = 150
_ASKS = "Both models continue this text, one after the other, so that their speeds can be compared."


class TryItCard(Card):
    """Follows the state's trial as long as it is about this run's result."""

    def __init__(self, state: AppState, result: QuantizeResult) -> None:
        super().__init__("Try it")
        self._state, self._result = state, result
        self._prompt = QLineEdit(PROMPT)
        self._prompt.setAccessibleName("Text to continue")
        self._prompt.returnPressed.connect(self._start)
        self._tokens = whole_number("Tokens to write", 1, MOST_TOKENS, TOKENS, unit="tokens")
        self._temperature = decimal_number("Temperature", 0.0, 2.0, 0.0, zero="likeliest token")
        self._temperature.setSingleStep(0.1)
        self._temperature.setToolTip("0 always takes the likeliest token; higher values draw more surprising ones.")
        self._write = button("Write", self._start, icon="run")
        self._cancel = button("Cancel", state.cancel_run, icon="stop")
        self._after, self._before = _Column("Quantized"), _Column("Original")
        self._error = ErrorSlot()
        self._failed: object = None
        self._lay_out()
        for signal in (state.runs.trial.changed, state.runs.quality.changed, state.run_changed):
            signal.connect(self._show)
        self._show()

    def _lay_out(self) -> None:
        for widget in (self._write, self._cancel):
            self.header.addWidget(widget)
        self.body.addWidget(muted(_ASKS))
        grid = QGridLayout()
        grid.setSpacing(8)
        grid.setColumnStretch(0, 1)
        for column, widget in enumerate((self._prompt, self._tokens, self._temperature)):
            grid.addWidget(widget, 0, column)
        self.body.addLayout(grid)
        self._texts = QWidget()  # comes with the first text: two empty boxes would say nothing
        columns = QGridLayout(self._texts)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setHorizontalSpacing(14)
        for index, widget in enumerate((self._before, self._after)):
            columns.addWidget(widget, 0, index)
            columns.setColumnStretch(index, 1)
        self.body.addWidget(self._texts)
        self.body.addWidget(self._error)

    def _start(self) -> None:
        self._state.runs.try_out(self._result, self._prompt.text(), self._tokens.value(), self._temperature.value())

    def _show(self) -> None:
        trial = self._state.runs.trial
        is_ours = trial.result is self._result
        after, before = (trial.after.state, trial.before.state) if is_ours else (None, None)
        is_busy = is_ours and trial.is_busy
        self._write.setVisible(not is_busy)
        self._write.setEnabled(self._state.runs.at_work is None)
        self._cancel.setVisible(is_busy)
        self._texts.setVisible(after is not None)
        self._after.show_state(after)
        self._before.show_state(before, "Follows" if is_busy and before is None else "")
        failed = next((s.outcome for s in (before, after) if s is not None and isinstance(s.outcome, Failed)), None)
        if failed is not self._failed:
            self._failed = failed
            error = failed and UserError(failed.message, hint=failed.hint, details=failed.details)
            self._error.show_error(error or None)


class _Column(QWidget):
    """What one model writes, and below it how fast and in how much memory."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setFixedHeight(TEXT_HEIGHT)
        self._text.setAccessibleName(f"{title}: text")
        self._figures = small()
        self._figures.setAccessibleName(f"{title}: speed and memory")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (label(title, "strong"), self._text, self._figures):
            layout.addWidget(widget)
        layout.addStretch(1)

    def show_state(self, run: RunState | None, waiting: str = "") -> None:
        """Show what was written so far; new text is added without moving what a person has scrolled to."""
        text = run.text if run is not None else ""
        known = self._text.toPlainText()
        if text != known:
            if known and text.startswith(known):
                bar = self._text.verticalScrollBar()
                follows = bar.value() == bar.maximum()
                cursor = self._text.textCursor()
                cursor.movePosition(cursor.MoveOperation.End)
                cursor.insertText(text[len(known) :])
                if follows:
                    bar.setValue(bar.maximum())
            else:
                self._text.setPlainText(text)
        self._figures.setText(_figures(run) or waiting)
        outcome = run.outcome if run is not None else None
        generation = outcome.generation if isinstance(outcome, Finished) else None
        self._figures.setToolTip(_times(generation) if generation is not None else "")


def _figures(run: RunState | None) -> str:
    if run is None:
        return ""
    if isinstance(run.outcome, Finished) and run.outcome.generation is not None:
        return _measured(run.outcome.generation)
    return {RunStatus.RUNNING: run.stage, RunStatus.CANCELLED: "Cancelled"}.get(run.status, "")


def _measured(generation: Generation) -> str:
    parts = [f"{units.count(generation.tokens)} tokens"]
    if generation.tokens_per_second:
        parts.append(f"{units.digits(generation.tokens_per_second)}{formatting.NBSP}tokens/s")
    parts.append(f"{formatting.memory(generation.peak_rss_bytes)} of memory")
    if generation.fills_context:
        parts.append("context full")
    return " · ".join(parts)


def _times(generation: Generation) -> str:
    loaded, waited = units.duration(generation.load_seconds), units.duration(generation.prompt_seconds)
    return f"Loaded in {loaded}. The prompt's {units.count(generation.prompt_tokens)} tokens took {waited}."
