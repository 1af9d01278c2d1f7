"""An empty page teaches: one picture, one sentence, one button."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from quantgui.gui import icons, theme
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.text import heading, muted


class EmptyState(QWidget):
    """Stands in the middle of the room that the missing thing would take."""

    def __init__(
        self, icon: str, title: str, sentence: str, action: str = "", clicked: Callable[[], object] | None = None
    ) -> None:
        super().__init__()
        self._icon = icon
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        words = heading(title)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        text = muted(sentence)
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        text.setMaximumWidth(440)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addStretch(2)
        layout.addWidget(self._picture)
        layout.addWidget(words)
        layout.addWidget(text, 0, Qt.AlignmentFlag.AlignHCenter)
        if action:
            layout.addSpacing(6)
            layout.addWidget(button(action, clicked, primary=True), 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange:
            self._draw()

    def _draw(self) -> None:
        self._picture.setPixmap(icons.pixmap(self._icon, 44, theme.current().muted))
