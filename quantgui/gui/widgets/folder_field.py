"""A folder: typed, browsed for, or empty for the default place."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from quantgui.gui.widgets.buttons import button


class FolderField(QWidget):
    """`changed` carries the folder once editing is finished; "" means the default."""

    changed = Signal(str)

    def __init__(self, title: str, value: str, default: str) -> None:
        super().__init__()
        self._title = title
        self._line = QLineEdit(value)
        self._line.setPlaceholderText(default)
        self._line.setAccessibleName(f"{title} folder")
        self._line.setClearButtonEnabled(True)
        self._line.editingFinished.connect(lambda: self.changed.emit(self._line.text().strip()))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line, 1)
        layout.addWidget(button("Browse…", self._browse))

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, f"{self._title} folder", self._line.text())
        if folder:
            self._line.setText(folder)
            self.changed.emit(folder)
