"""Predicted against real: a pasted log beside the estimate, and what was learnt from earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QComboBox, QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from quantgui.fit.corrections import Correction, correction_from
from quantgui.fit.logs import LogLine, ParsedLog, compare_log, parse_log
from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.fit import words
from quantgui.gui.fit.line_table import LineTable
from quantgui.gui.widgets.buttons import button, link
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.row_model import Column
from quantgui.gui.widgets.text import heading, muted, title
from quantgui.types import MemoryEstimate, MemoryKind, UserError

EXPLANATION = (
    "Load the model as it is estimated here, then paste what llama.cpp or vLLM wrote meanwhile, "
    "or the output of nvidia-smi while it runs."
)
TYPING_MS = 300
NO_DIFFERENCE = 5e-4
"""Logs round to hundredths of a MiB."""


def _difference(line: LogLine) -> str:
    if line.predicted is None:
        return "–"
    if line.error is not None and abs(line.error) < NO_DIFFERENCE:
        return "equal"
    sign = "+" if line.predicted > line.real else "−"
    share = "" if line.error is None else f" ({sign}{formatting.digits(abs(100 * line.error), 2)} %)"
    return f"{sign}{formatting.memory(abs(line.predicted - line.real))}{share}"


COMPARED = (
    Column("Part", lambda line: line.label, tip=lambda line: line.note),
    Column("Predicted", lambda line: formatting.memory(line.predicted), right=True),
    Column("Real", lambda line: formatting.memory(line.real), right=True),
    Column("Difference", _difference, right=True),
)


def _added(nbytes: int) -> str:
    return f"{'−' if nbytes < 0 else '+'}{formatting.memory(abs(nbytes))}" if nbytes else "–"


LEARNT = (
    Column("Device", lambda c: c.device),
    Column("Program", lambda c: words.RUNTIMES[c.runtime], word="Runtime"),
    Column("Compute", lambda c: _added(c.compute_bytes), right=True),
    Column("Overhead", lambda c: _added(c.overhead_bytes), right=True),
    Column("From", lambda c: f"{c.source}, {c.date}"),
)


def likely_row(rows: Sequence[MemoryEstimate], log: ParsedLog, picked: MemoryEstimate) -> MemoryEstimate:
    """The row of the log's program whose weights are closest to the log's; `picked` where the log does not tell."""
    weights = log.nbytes(MemoryKind.WEIGHTS)
    candidates = [row for row in rows if log.runtime in (None, row.runtime) and row.part(MemoryKind.WEIGHTS)]
    if weights is None or not candidates:
        return picked
    return min(candidates, key=lambda row: (abs((row.part(MemoryKind.WEIGHTS) or 0) - weights), row != picked))


class CalibrateDialog(QDialog):
    """Compares with the row that is picked on the page, or with the one that the log is most likely of."""

    def __init__(self, state: AppState, estimate: MemoryEstimate, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Calibrate")
        self.resize(min(860, parent.width() - 40), min(680, parent.height() - 40))
        self._state = state
        self._lines: Sequence[LogLine] = ()
        self._log: ParsedLog | None = None
        self._text = QPlainTextEdit()
        self._text.setPlaceholderText("Paste a log here.")
        self._text.setAccessibleName("Log to compare with")
        self._text.setTabChangesFocus(True)
        self._typing = QTimer(self, singleShot=True, interval=TYPING_MS)
        self._typing.timeout.connect(self.read)
        self._text.textChanged.connect(self._typing.start)
        self._row = self._row_choice(estimate)
        self._error = ErrorSlot()
        self._compared = LineTable(COMPARED, "Predicted against real")
        self._learnt = LineTable(LEARNT, "Corrections that are remembered")
        self._remember = button(f"Remember this correction for {state.hardware.name}", self.remember, primary=True)
        self._remember.setEnabled(False)
        self._forget = link("Forget the marked one", self.forget)
        self._learnt_heading = heading("What was learnt from real runs")
        self._lay_out()
        self._show_learnt()

    def _row_choice(self, estimate: MemoryEstimate) -> QComboBox:
        made = QComboBox()
        made.setAccessibleName("Precision to compare with")
        for row in self._state.estimates:
            made.addItem(f"{words.name_of(row.scheme_id)} in {words.RUNTIMES[row.runtime]}", row.scheme_id)
        made.setCurrentIndex(made.findData(estimate.scheme_id))
        made.currentIndexChanged.connect(self.compare)
        return made

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 16, 20, 18)
        layout.setSpacing(10)
        layout.addWidget(title(f"Predicted against real on {self._state.hardware.name}"))
        layout.addWidget(muted(EXPLANATION))
        layout.addWidget(self._text, 2)
        layout.addWidget(self._error)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(muted("Compared with", wrap=False))
        row.addWidget(self._row)
        row.addStretch(1)
        layout.addLayout(row)
        layout.addWidget(self._compared, 2)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self._remember)
        layout.addLayout(buttons)
        layout.addWidget(self._learnt_heading)
        layout.addWidget(self._learnt, 1)
        layout.addWidget(self._forget, 0, Qt.AlignmentFlag.AlignLeft)

    def read(self) -> None:
        """Read the text, mark the row that it is most likely of, and compare."""
        self._log = None
        error: UserError | None = None
        try:
            self._log = parse_log(self._text.toPlainText()) if self._text.toPlainText().strip() else None
        except UserError as raised:
            error = raised
        self._error.show_error(error)
        estimate = self._estimate()
        if self._log is not None and estimate is not None:
            likely = likely_row(self._state.estimates, self._log, estimate)
            self._row.blockSignals(True)
            self._row.setCurrentIndex(self._row.findData(likely.scheme_id))
            self._row.blockSignals(False)
        self.compare()

    def compare(self) -> None:
        """Put what was read beside the estimate."""
        estimate = self._estimate()
        self._lines = ()
        if self._log is not None and estimate is not None:
            self._lines = compare_log(estimate, self._log, self._state.fit_settings)
        self._compared.set_rows(self._lines)
        self._remember.setEnabled(bool(self._lines))

    def remember(self) -> None:
        """Keep what the log teaches about this device."""
        estimate, log = self._estimate(), self._log
        if estimate is None or log is None:
            return
        device, fit = self._state.hardware.name, self._state.fit
        runtime = log.runtime or estimate.runtime
        today = date.today().isoformat()
        try:
            previous = fit.corrections.of(device, runtime)
            learnt = correction_from(self._lines, device, runtime, today, log.source, previous)
        except UserError as error:
            self._error.show_error(error)
            return
        fit.learn(learnt)
        self.compare()
        self._show_learnt()

    def forget(self) -> None:
        """Drop the marked correction."""
        marked = self._learnt.current()
        if isinstance(marked, Correction):
            self._state.fit.forget(marked.device, marked.runtime)
            self.compare()
            self._show_learnt()

    def _estimate(self) -> MemoryEstimate | None:
        return next((e for e in self._state.estimates if e.scheme_id == self._row.currentData()), None)

    def _show_learnt(self) -> None:
        entries = self._state.fit.corrections.entries
        self._learnt.set_rows(entries)
        for widget in (self._learnt_heading, self._learnt, self._forget):
            widget.setVisible(bool(entries))
