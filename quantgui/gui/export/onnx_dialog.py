"""The step that exports the open model as ONNX with 8-bit weights."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.job_dialog import JobDialog, StepWords
from quantgui.gui.run.places import unused_name
from quantgui.gui.saving import file_name
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.facts import Fact
from quantgui.gui.widgets.text import label, muted
from quantgui.jobs.events import Finished
from quantgui.types import Checkpoint, SourceKind

SUFFIX = "-ONNX-INT8"
EXPLANATION = (
    "onnxruntime runs the model without torch, with 8-bit weights that it rounds itself. The graph has no key-value "
    "cache: right for scoring text and for encoders, slow for long answers."
)
HOLDS = "The weights are traced in 32 bits first, which takes about 12 bytes of memory per parameter."


class OnnxDialog(JobDialog):
    """Asks for a folder; the export refuses one that has files in it."""

    def __init__(self, state: AppState, parent: QWidget) -> None:
        name = state.checkpoint.name if state.checkpoint is not None else ""
        words = StepWords(
            "ONNX export", f"Export {name} as ONNX, 8 bit", EXPLANATION, "Export", "The ONNX model is there"
        )
        super().__init__(state, state.runs.export, words, parent)
        folder = state.outputs_folder / f"{file_name(name.split('/')[-1])}{SUFFIX}"
        self._output = QLineEdit(unused_name(str(folder)))
        self._output.setAccessibleName("Output folder")
        self._output.textChanged.connect(self.refresh)
        place = QHBoxLayout()
        place.setSpacing(8)
        place.addWidget(self._output, 1)
        place.addWidget(button("Choose…", self._choose, icon="folder"))
        self.form.addRow(label("Output folder"), place)
        self.form.addRow(muted(HOLDS))
        self.refresh()

    def begin(self) -> None:
        """Export into the folder that is named here."""
        self.state.start_export(self._path())

    def objection(self) -> str:
        """What the export cannot take, or a folder that has other files."""
        if words := onnx_objection(self.state.checkpoint):
            return words
        path = Path(self._path())
        try:
            taken = path.is_file() or (path.is_dir() and any(path.iterdir()))
        except OSError as error:
            return f"{path.name} cannot be looked at: {error.strerror}."
        return "There are files in this folder already; choose another." if taken else ""

    def facts(self, outcome: Finished) -> list[Fact]:
        """Size, check, place."""
        result = outcome.exported
        assert result is not None
        sizes = f"{units.file_size(result.file_bytes)} instead of {units.file_size(result.bytes_before)}"
        return [
            Fact("Size", sizes, "GB"),
            Fact("Check", result.verification.summary),
            Fact("Time", units.duration(result.seconds)),
            Fact("Folder", result.output),
        ]

    def _path(self) -> str:
        return str(Path(self._output.text().strip()).expanduser().absolute())

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Choose an empty folder", str(self.state.outputs_folder))
        if chosen:
            self._output.setText(chosen)


def onnx_objection(checkpoint: Checkpoint | None) -> str:
    """Why a model cannot be exported, as far as its headers tell; "" where nothing is known against it."""
    if checkpoint is None or not checkpoint.path:
        return "The weights of this model are not on this machine."
    if checkpoint.kind is not SourceKind.FOLDER or checkpoint.config is None:
        return "Only the Hugging Face folder of a model can be exported."
    quantization = checkpoint.config.quantization
    return f"This model is quantized already ({quantization}); open the original." if quantization else ""


def show_onnx_dialog(state: AppState, window: QWidget) -> None:
    """Open the step over the window."""
    OnnxDialog(state, window).open()
