"""What every page has in the same place: a title that says what was found, one line below, the primary action."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.text import muted, title
from quantgui.types import UserError


class PageFrame(QWidget):
    """Put content into `body` and buttons into `buttons` (the primary one last, so that it stands at the right)."""

    def __init__(self, text: str, subtitle: str = "", *, scrolls: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 18, 24, 20)
        layout.setSpacing(14)
        self._title = title(text)
        self._subtitle = muted(subtitle)
        self._subtitle.setVisible(bool(subtitle))
        words = QVBoxLayout()
        words.setSpacing(3)
        words.addWidget(self._title)
        words.addWidget(self._subtitle)
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addLayout(words, 1)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(8)
        top.addLayout(self.buttons)
        top.setAlignment(self.buttons, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(top)
        self._error = ErrorSlot()
        layout.addWidget(self._error)
        self.body = QVBoxLayout()
        self.body.setSpacing(14)
        if scrolls:
            layout.addWidget(self._scroller(), 1)
        else:
            layout.addLayout(self.body, 1)

    @property
    def title(self) -> str:
        """What the page says it found."""
        return self._title.text()

    def set_title(self, text: str, subtitle: str = "") -> None:
        """Say what was found; an empty subtitle takes no room."""
        self._title.setText(text)
        self._subtitle.setText(subtitle)
        self._subtitle.setVisible(bool(subtitle))

    def show_error(
        self,
        error: UserError | None,
        dismissed: Callable[[], object] | None = None,
        remedy: tuple[str, Callable[[], object]] | None = None,
    ) -> None:
        """Show what went wrong below the title, or nothing for None. With `dismissed` it can be put away; `remedy` is
        a button that does what the hint says.
        """
        self._error.show_error(error, dismissed, remedy)

    def _scroller(self) -> QScrollArea:
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        inner.setProperty("role", "plain")
        inner.setLayout(self.body)
        self.body.setContentsMargins(0, 0, 8, 0)
        area.setWidget(inner)
        area.setAccessibleName(self._title.text())
        return area
