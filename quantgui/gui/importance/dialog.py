"""The step that computes an importance matrix: which text, how much of it, where to, and how long it will take."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.importance_state import SUFFIX
from quantgui.gui.job_dialog import JobDialog, StepWords
from quantgui.gui.run_times import time_words
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.facts import Fact
from quantgui.gui.widgets.file_field import FileField
from quantgui.gui.widgets.number_box import whole_number
from quantgui.gui.widgets.text import label, small
from quantgui.jobs.events import Finished
from quantgui.jobs.job import Calibration
from quantgui.jobs.run_record import FILE_SUFFIX

MOST_SAMPLES, MOST_TOKENS = 65_536, 131_072
DEFAULTS = Calibration()
EXPLANATION = (
    "A text runs through the model, and the inputs of every weight are added up. Weights whose inputs are large matter "
    "most; quantizing with few bits then spends them there."
)
_ASK_HERE = QFileDialog.Option.DontConfirmOverwrite  # a taken name is said below the field


class ImportanceDialog(JobDialog):
    """Proposes the bundled text and a place beside the outputs."""

    def __init__(self, state: AppState, parent: QWidget) -> None:
        model = state.checkpoint.name if state.checkpoint is not None else ""
        words = StepWords(
            "Importance matrix",
            f"Importance matrix of {model}",
            EXPLANATION,
            "Compute",
            "The importance matrix is ready",
        )
        super().__init__(state, state.runs.importance, words, parent)
        self._text = FileField("Calibration text", "", "The bundled text")
        self._text_path = ""
        self._text.changed.connect(self._take_text)
        self._samples = whole_number("Samples", 1, MOST_SAMPLES, DEFAULTS.samples)
        self._length = whole_number("Tokens per sample", 2, MOST_TOKENS, self._longest(), unit="tokens")
        self._output = QLineEdit(unused_matrix(state.importance.default_path()))
        self._output.setAccessibleName("File of the importance matrix")
        self._place = small()
        self._time = label(wrap=True)
        self._fill()
        for changed in (self._samples.valueChanged, self._length.valueChanged, self._output.textChanged):
            changed.connect(self.refresh)
        state.importance.changed.connect(self.refresh)
        self.refresh()

    def begin(self) -> None:
        """Compute with what is chosen here."""
        calibration = Calibration(self._text_path or None, self._samples.value(), self._length.value())
        self.state.start_importance(self._path(), calibration)

    def objection(self) -> str:
        """A model that has no weights here, or a name that no GGUF file can have."""
        is_named = self._path().endswith(FILE_SUFFIX)
        return self.state.importance.objection or ("" if is_named else f"The name must end in {FILE_SUFFIX}.")

    def facts(self, outcome: Finished) -> list[Fact]:
        """How large it is, and where."""
        result = outcome.imatrix
        assert result is not None
        return [
            Fact("Tensors", units.count(result.entries), "Tensor"),
            Fact("Text", f"{units.count(result.tokens)} tokens of {Path(self._text_path).name or 'the bundled text'}"),
            Fact("Time", units.duration(result.seconds)),
            Fact("File", result.output),
            Fact("Used by", "the recipe" if self.state.importance.path == result.output else ""),
        ]

    def remark(self, outcome: Finished) -> str:
        """Experts that the text has not reached."""
        unreached = len(outcome.imatrix.unreached) if outcome.imatrix is not None else 0
        tensors = "1 tensor" if unreached == 1 else f"{units.count(unreached)} tensors"
        return f"No text reached some experts of {tensors}; a longer one would." if unreached else ""

    def refresh(self) -> None:
        """Cost and place change with the fields, the rest with the job."""
        calibration = Calibration(None, self._samples.value(), self._length.value())
        tokens = units.count(calibration.samples * calibration.length)
        seconds = self.state.importance.predict(calibration)
        known = time_words(seconds) if seconds is not None else "not known yet, as none has been computed here"
        self._time.setText(f"{tokens} tokens: {known}.")
        is_taken = Path(self._path()).exists()
        self._place.setText(
            "A file of this name is there already; it is replaced if it is an importance matrix."
            if is_taken
            else "Later recipes for this model find it there."
        )
        super().refresh()

    def _fill(self) -> None:
        place = QHBoxLayout()
        place.setSpacing(8)
        place.addWidget(self._output, 1)
        place.addWidget(button("Choose…", self._choose, icon="file"))
        self.form.addRow(label("Text"), self._text)
        self.form.addRow(label("Samples"), self._samples)
        self.form.addRow(label("Tokens per sample"), self._length)
        self.form.addRow(label("File"), place)
        self.form.addRow(label(), self._place)
        self.form.addRow(label("Time"), self._time)

    def _longest(self) -> int:
        config = self.state.checkpoint.config if self.state.checkpoint is not None else None
        return min(DEFAULTS.length, (config.context_length if config is not None else None) or DEFAULTS.length)

    def _path(self) -> str:
        text = self._output.text().strip()
        return str(Path(text).expanduser().absolute()) if text else self.state.importance.default_path()

    def _take_text(self, path: str) -> None:
        self._text_path = path

    def _choose(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "File of the importance matrix", self._path(), f"Importance matrix (*{SUFFIX})", options=_ASK_HERE
        )
        if path:
            self._output.setText(path)


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
