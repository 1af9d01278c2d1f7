"""Choosing a model: one searchable list, or a folder or file of this machine."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.pickers.model_choices import ModelChoice, model_choices
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.row_model import Column
from quantgui.gui.widgets.search_table import SearchTable
from quantgui.gui.widgets.text import muted, small

FILE_FILTER = "Models (*.safetensors *.gguf *.bin *.pt *.pth config.json)"
COLUMNS = (
    Column("Model", lambda row: row.name, tip=lambda row: row.note),
    Column("Where", lambda row: row.where if row.is_supported else "Not estimated yet"),
    Column(
        "Parameters",
        lambda row: formatting.parameters(row.parameters) if row.parameters else "–",
        sort=lambda row: row.parameters,
        right=True,
    ),
    Column(
        "Context",
        lambda row: formatting.tokens(row.context) if row.context else "–",
        sort=lambda row: row.context,
        right=True,
        word="Context length",
    ),
    Column(
        "Files",
        lambda row: formatting.file_size(row.nbytes) if row.nbytes else "–",
        sort=lambda row: row.nbytes,
        right=True,
        word="Checkpoint",
    ),
)


class ModelPicker(QWidget):
    """`done` follows once a model was asked for; whether it opens is shown where models are shown."""

    done = Signal()

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self.table = SearchTable(
            COLUMNS, "Models", filter_hint="Search models", noun="model", is_quiet=lambda row: not row.is_supported
        )
        self.table.set_rows(model_choices(state.recent_models))
        self.table.set_widths(0, 130, 110, 90, 90)
        self.table.chosen.connect(self._open_choice)
        self._open = button("Open", self._open_current, primary=True)
        self._open.setEnabled(False)
        self.table.selected.connect(self._selected)
        self._note = small()
        foot = QHBoxLayout()
        foot.addWidget(button("Open folder…", self._open_folder, icon="folder"))
        foot.addWidget(button("Open file…", self._open_file, icon="file"))
        foot.addWidget(self._note, 1)
        foot.addWidget(self._open)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addWidget(muted("Only headers and config are read. You can also drop a folder or a file on the window."))
        layout.addWidget(self.table, 1)
        layout.addLayout(foot)

    def _selected(self, choice: ModelChoice) -> None:
        self._open.setEnabled(choice.is_supported)
        self._note.setText("" if choice.is_supported else choice.note)

    def _open_current(self) -> None:
        choice = self.table.current()
        if choice is not None:
            self._open_choice(choice)

    def _open_choice(self, choice: ModelChoice) -> None:
        if choice.is_supported:
            self._ask_for(choice.reference)

    def _open_folder(self) -> None:
        self._ask_for(QFileDialog.getExistingDirectory(self, "Open a model folder", self._start()))

    def _open_file(self) -> None:
        self._ask_for(QFileDialog.getOpenFileName(self, "Open a model file", self._start(), FILE_FILTER)[0])

    def _start(self) -> str:
        return self._state.settings.models_folder

    def _ask_for(self, reference: str) -> None:
        if reference:
            self._state.open_model(reference)
            self.done.emit()
