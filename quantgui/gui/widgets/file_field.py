"""A file: typed, browsed for, or empty."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from quantgui.gui.widgets.buttons import icon_button


class FileField(QWidget):
    """`changed` carries the path once editing is finished; "" means none. `empty` says what is taken then."""

    changed = Signal(str)

    def __init__(self, title: str, value: str, empty: str) -> None:
        super().__init__()
        self._title = title
        self._shown = value
        self._line = QLineEdit(value)
        self._line.setPlaceholderText(empty)
        self._line.setAccessibleName(title)
        self._line.setClearButtonEnabled(True)
        self._line.editingFinished.connect(lambda: self._take(self._line.text().strip()))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._line, 1)
        layout.addWidget(icon_button("open", f"Choose a file: {title}", self._browse))
        self.setFocusProxy(self._line)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self._title, self._shown)
        if path:
            self._line.setText(path)
            self._take(path)

    def _take(self, path: str) -> None:
        if path != self._shown:
            self._shown = path
            self.changed.emit(path)
