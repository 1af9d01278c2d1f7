"""A bordered surface with an optional heading: the unit a page is laid out in."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from quantgui.gui.widgets.text import heading

MARGINS = (16, 12, 16, 14)
"""Left, top, right, bottom, in device-independent pixels."""


class Card(QFrame):
    """Add content to `body`; actions that belong to the heading go into `header`."""

    def __init__(
        self, title: str = "", parent: QWidget | None = None, *, margins: tuple[int, int, int, int] = MARGINS
    ) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*margins)
        layout.setSpacing(10)
        self.header = QHBoxLayout()
        self.header.setSpacing(8)
        self._title: QLabel | None = None
        if title:
            self._title = heading(title)
            self.header.addWidget(self._title)
            self.header.addStretch(1)
            layout.addLayout(self.header)
            self.setAccessibleName(title)
        self.body = QVBoxLayout()
        self.body.setSpacing(8)
        layout.addLayout(self.body, 1)

    def set_title(self, text: str) -> None:
        """Change the heading of a card that was made with one."""
        assert self._title is not None
        self._title.setText(text)
        self.setAccessibleName(text)
