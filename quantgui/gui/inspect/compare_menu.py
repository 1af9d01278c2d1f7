"""What the open model is compared with: the model it was made from, or a folder or file that a person chooses."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from quantgui.gui.app_state import AppState
from quantgui.gui.pickers.model_picker import FILE_FILTER
from quantgui.jobs.run_record import read_record
from quantgui.types import UserError


class CompareMenu(QMenu):
    """Starts the measurement; the original is offered where the record of the run that made the model names it."""

    def __init__(self, state: AppState, parent: QWidget) -> None:
        super().__init__(parent)
        self._state = state
        self._original = ""
        self._made_from = self.addAction("With the model it was made from", self._with_original)
        self.addAction("With a model folder…", self._with_folder)
        self.addAction("With a model file…", self._with_file)
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self._look_for_the_original)

    def _look_for_the_original(self) -> None:
        checkpoint = self._state.checkpoint
        self._original = original_of(checkpoint.path) if checkpoint is not None else ""
        self._made_from.setEnabled(bool(self._original))
        self._made_from.setToolTip(self._original or "Only known for models that were quantized here.")

    def _with_original(self) -> None:
        self._state.start_inspect(self._original)

    def _with_folder(self) -> None:
        self._start(QFileDialog.getExistingDirectory(self.parentWidget(), "Compare with a model folder", self._place()))

    def _with_file(self) -> None:
        title = "Compare with a model file"
        self._start(QFileDialog.getOpenFileName(self.parentWidget(), title, self._place(), FILE_FILTER)[0])

    def _place(self) -> str:
        return self._state.settings.models_folder

    def _start(self, against: str) -> None:
        if against:
            self._state.start_inspect(against)


def original_of(path: str) -> str:
    """The model that the one at `path` was made from, by the record of its run; "" where none is there any more."""
    if not path:
        return ""
    try:
        source = read_record(path).result.job.source
    except UserError:
        return ""
    return source if Path(source).exists() else ""
