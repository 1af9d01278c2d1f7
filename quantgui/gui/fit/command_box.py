"""The command that runs what was estimated, with a Copy button."""

from __future__ import annotations

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from quantgui.gui.widgets.buttons import link
from quantgui.gui.widgets.text import label

_LINES, _LINE_HEIGHT = 6, 16


class CommandBox(QWidget):
    """Long lines wrap; the text can be selected with mouse and keyboard."""

    def __init__(self) -> None:
        super().__init__()
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setAccessibleName("Command that runs this")
        self._text.setFrameShape(QFrame.Shape.NoFrame)
        self._text.setTabChangesFocus(True)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPixelSize(11)
        self._text.setFont(font)
        self._text.setFixedHeight(_LINES * _LINE_HEIGHT + 14)
        head = QHBoxLayout()
        head.addWidget(label("Run it", "muted"))
        head.addStretch(1)
        self._copy = link("Copy", self.copy, tip="Copy the command")
        head.addWidget(self._copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self._text)

    def show_command(self, text: str) -> None:
        """Show this command."""
        if text != self._text.toPlainText():
            self._text.setPlainText(text)
        self.setVisible(bool(text))

    def copy(self) -> None:
        """Put the command on the clipboard."""
        QGuiApplication.clipboard().setText(self._text.toPlainText())
