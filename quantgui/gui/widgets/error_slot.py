"""Room for one error, which takes no place while there is none."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QVBoxLayout, QWidget

from quantgui.gui.widgets.error_panel import ErrorPanel
from quantgui.types import UserError


class ErrorSlot(QWidget):
    """Put it where the error happens."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._error: UserError | None = None
        self._panel: ErrorPanel | None = None
        self.hide()

    def show_error(
        self,
        error: UserError | None,
        dismissed: Callable[[], object] | None = None,
        remedy: tuple[str, Callable[[], object]] | None = None,
    ) -> None:
        """Show `error`, or nothing for None. With `dismissed` it has a cross, which calls that; `remedy` is a button
        that does what the hint says.
        """
        if error is self._error:
            return
        if self._panel is not None:
            self._panel.hide()
            self._panel.deleteLater()
            self._panel = None
        self._error = error
        if error is not None:
            self._panel = ErrorPanel(error, dismissable=dismissed is not None, remedy=remedy)
            if dismissed is not None:
                self._panel.dismissed.connect(dismissed)
            self._layout.addWidget(self._panel)
        self.setVisible(error is not None)
