"""The step that computes an importance matrix: which text, how much of it, where to, how long; then how far it is."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.importance.words import progress_words
from quantgui.gui.importance_state import SUFFIX
from quantgui.gui.run_times import time_words
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.file_field import FileField
from quantgui.gui.widgets.number_box import whole_number
from quantgui.gui.widgets.text import label, muted, small, title
from quantgui.jobs.events import Cancelled, Failed, Finished, ImatrixResult
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import Calibration
from quantgui.jobs.run_record import FILE_SUFFIX
from quantgui.types import UserError

WIDTH = 560
MOST_SAMPLES, MOST_TOKENS = 65_536, 131_072
DEFAULTS = Calibration()
EXPLANATION = (
    "A text runs through the model, and the inputs of every weight are added up. Weights whose inputs are large matter "
    "most; quantizing with few bits then spends them there."
)
_STEPS = 1000
_ASK_HERE = QFileDialog.Option.DontConfirmOverwrite  # a taken name is said below the field


class ImportanceDialog(QDialog):
    """Starts the job and follows it. Closing it leaves the job at work: the top bar shows it."""

    def __init__(self, state: AppState, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Importance matrix")
        self.setFixedWidth(min(WIDTH, parent.width() - 40))
        self._state = state
        self._started = state.importance.job is not None
        model = state.checkpoint.name if state.checkpoint is not None else ""
        self._title = title(f"Importance matrix of {model}")
        self._explanation = muted(EXPLANATION)
        self._text = FileField("Calibration text", "", "The bundled text")
        self._text_path = ""
        self._text.changed.connect(self._take_text)
        self._samples = whole_number("Samples", 1, MOST_SAMPLES, DEFAULTS.samples)
        self._length = whole_number("Tokens per sample", 2, MOST_TOKENS, self._longest(), unit="tokens")
        self._output = QLineEdit(unused_matrix(state.importance.default_path()))
        self._output.setAccessibleName("File of the importance matrix")
        self._place = small()
        self._time = label(wrap=True)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of the importance matrix")
        self._words = muted()
        self._result = Facts()
        self._error = ErrorSlot()
        self._shown_outcome: object = None
        self._close = button("Close", self.close)
        self._cancel = button("Cancel", state.cancel_run, icon="stop")
        self._compute = button("Compute", self.start, icon="run", primary=True)
        self._fitting = QTimer(self, singleShot=True, interval=0)  # widgets that have just come have a size by then
        self._fitting.timeout.connect(self._fit)
        self._lay_out()
        for box in (self._samples, self._length):
            box.valueChanged.connect(self._show)
        self._output.textChanged.connect(self._show)
        for signal in (state.importance.changed, state.runs.changed):
            signal.connect(self._show)
        state.importance.is_watched = True
        self.finished.connect(self._unwatch)
        self._show()

    def start(self) -> None:
        """Compute with what is chosen here."""
        if self._compute.isEnabled():
            self._started = True
            calibration = Calibration(self._text_path or None, self._samples.value(), self._length.value())
            self._state.start_importance(self._path(), calibration)

    def _lay_out(self) -> None:
        self._form = QWidget()
        form = QFormLayout(self._form)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        place = QHBoxLayout()
        place.setSpacing(8)
        place.addWidget(self._output, 1)
        place.addWidget(button("Choose…", self._choose, icon="file"))
        form.addRow(label("Text"), self._text)
        form.addRow(label("Samples"), self._samples)
        form.addRow(label("Tokens per sample"), self._length)
        form.addRow(label("File"), place)
        form.addRow(label(), self._place)
        form.addRow(label("Time"), self._time)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        for widget in (self._close, self._cancel, self._compute):
            buttons.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 16, 20, 18)
        layout.setSpacing(12)
        for widget in (self._title, self._explanation, self._form, self._result, self._words, self._bar, self._error):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addLayout(buttons)

    def _show(self) -> None:
        run = self._state.runs.importance.state if self._started else None
        outcome = run.outcome if run is not None else None
        result = outcome.imatrix if isinstance(outcome, Finished) else None
        job = self._state.importance.job
        self._form.setEnabled(job is None)
        for widget in (self._form, self._explanation):
            widget.setVisible(result is None)
        self._cancel.setVisible(job is not None)
        self._compute.setVisible(job is None and result is None)
        self._compute.setEnabled(not self._state.importance.objection and self._is_named())
        self._bar.setVisible(job is not None)
        if job is not None:
            is_counting = job.fraction is not None and job.fraction < 1
            self._bar.setRange(0, _STEPS if is_counting else 0)
            self._bar.setValue(round(_STEPS * (job.fraction or 0)))
        self._show_cost()
        self._show_outcome(job, outcome)
        if result is not None:
            self._title.setText("The importance matrix is ready")
            self._close.setText("Done")
        self._result.setVisible(result is not None)
        self._result.set_facts(self._facts(result) if result is not None else [])
        self._fitting.start()

    def _show_outcome(self, job: RunState | None, outcome: object) -> None:
        """What is going on, or how the last job ended."""
        words = self._state.importance.objection
        if job is not None:
            words = f"{job.stage}: {progress_words(job)}" if job.fraction else job.stage
        elif isinstance(outcome, Cancelled):
            words = "Cancelled; nothing was written."
        elif isinstance(outcome, Finished) and outcome.imatrix is not None and outcome.imatrix.unreached:
            tensors = units.count(len(outcome.imatrix.unreached))
            words = f"No text reached some experts of {tensors} tensors; a longer one would."
        self._words.setText(words)
        self._words.setVisible(bool(words))
        if outcome is not self._shown_outcome:
            self._shown_outcome = outcome
            failed = outcome if isinstance(outcome, Failed) else None
            error = failed and UserError(failed.message, hint=failed.hint, details=failed.details)
            self._error.show_error(error or None)

    def _facts(self, result: ImatrixResult) -> list[Fact]:
        return [
            Fact("Tensors", units.count(result.entries), "Tensor"),
            Fact("Text", f"{units.count(result.tokens)} tokens of {Path(self._text_path).name or 'the bundled text'}"),
            Fact("Time", units.duration(result.seconds)),
            Fact("File", result.output),
            Fact("Used by", "the recipe" if self._state.importance.path == result.output else ""),
        ]

    def _fit(self) -> None:
        """As tall as what is shown: words of several lines need more room when they are wrapped."""
        layout = self.layout()
        assert layout is not None
        self._result.updateGeometry()  # its rows have come after it was measured
        layout.activate()
        self.setFixedHeight(layout.totalHeightForWidth(self.width()))

    def _show_cost(self) -> None:
        calibration = Calibration(None, self._samples.value(), self._length.value())
        tokens = units.count(calibration.samples * calibration.length)
        seconds = self._state.importance.predict(calibration)
        known = time_words(seconds) if seconds is not None else "not known yet, as none has been computed here"
        self._time.setText(f"{tokens} tokens: {known}.")
        if not self._is_named():
            self._place.setText("The name must end in .gguf.")
        elif Path(self._path()).exists():
            self._place.setText("A file of this name is there already; it will be replaced.")
        else:
            self._place.setText("Later recipes for this model find it there.")

    def _longest(self) -> int:
        config = self._state.checkpoint.config if self._state.checkpoint is not None else None
        return min(DEFAULTS.length, (config.context_length if config is not None else None) or DEFAULTS.length)

    def _path(self) -> str:
        text = self._output.text().strip()
        return str(Path(text).expanduser().absolute()) if text else self._state.importance.default_path()

    def _is_named(self) -> bool:
        return self._path().endswith(FILE_SUFFIX)

    def _take_text(self, path: str) -> None:
        self._text_path = path

    def _choose(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "File of the importance matrix", self._path(), f"Importance matrix (*{SUFFIX})", options=_ASK_HERE
        )
        if path:
            self._output.setText(path)

    def _unwatch(self) -> None:
        self._state.importance.is_watched = False


def unused_matrix(path: str) -> str:
    """`path`, or the first of NAME-2.imatrix.gguf, NAME-3.imatrix.gguf … where nothing is."""
    stem, number, candidate = path.removesuffix(SUFFIX), 2, path
    while Path(candidate).exists():
        candidate = f"{stem}-{number}{SUFFIX}"
        number += 1
    return candidate


def show_importance_dialog(state: AppState, window: QWidget) -> None:
    """Open the step over the window."""
    ImportanceDialog(state, window).open()
