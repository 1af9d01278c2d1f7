"""Many requests, few redraws: a page asks as often as it likes and draws a few times a second."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget


class Throttle(QTimer):
    """Calls `action` at most once per `interval` milliseconds, and only while its widget can be seen."""

    def __init__(self, interval: int, action: Callable[[], None], widget: QWidget) -> None:
        super().__init__(widget, singleShot=True, interval=interval)
        self._action = action
        self._widget = widget
        self.timeout.connect(self._fire)

    def request(self) -> None:
        """Something changed."""
        if not self.isActive():
            self.start()

    def now(self) -> None:
        """Draw at once, whatever was asked for before."""
        self.stop()
        self._action()

    def _fire(self) -> None:
        if self._widget.isVisible():
            self._action()
