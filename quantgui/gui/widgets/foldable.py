"""A section that opens and closes, and remembers which: "Advanced"."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from quantgui.gui import icons


class Foldable(QWidget):
    """Content goes into `body`. `remember` is told "open" or "closed" whenever that changes."""

    def __init__(self, title: str, *, is_open: bool = False, remember: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self._remember = remember
        self._head = QToolButton()
        self._head.setText(title)
        self._head.setProperty("role", "fold")
        self._head.setCheckable(True)
        self._head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._head.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._content = QWidget()
        self.body = QVBoxLayout(self._content)
        self.body.setContentsMargins(4, 4, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._head)
        layout.addWidget(self._content)
        self._show(is_open)
        self._head.setChecked(is_open)
        self._head.toggled.connect(self._toggled)

    @property
    def is_open(self) -> bool:
        """Whether the content is shown."""
        return self._head.isChecked()

    def _toggled(self, opened: bool) -> None:
        self._show(opened)
        if self._remember is not None:
            self._remember("open" if opened else "closed")

    def _show(self, opened: bool) -> None:
        self._content.setVisible(opened)
        icons.set_icon(self._head, "chevron-down" if opened else "chevron-right")
