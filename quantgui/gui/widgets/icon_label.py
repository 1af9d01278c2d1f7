"""A picture drawn from an icon that follows the theme."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QLabel

from quantgui.gui import icons, theme


class IconLabel(QLabel):
    """`tone` is a field of Theme ("muted", "accent", "too_large")."""

    def __init__(self, icon: str, size: int = 18, tone: str = "text") -> None:
        super().__init__()
        self._icon, self._size, self._tone = icon, size, tone
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._draw()

    def set_icon(self, icon: str, tone: str) -> None:
        """Show another icon in another colour."""
        self._icon, self._tone = icon, tone
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange:
            self._draw()

    def _draw(self) -> None:
        self.setPixmap(icons.pixmap(self._icon, self._size, theme.current().color(self._tone).name()))
