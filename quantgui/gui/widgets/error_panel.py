"""An error where it happened: one sentence, the next step, and a Details button that holds the rest."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from quantgui.gui import diagnostics
from quantgui.gui.widgets.buttons import button, icon_button, link
from quantgui.gui.widgets.icon_label import IconLabel
from quantgui.gui.widgets.text import label, muted
from quantgui.types import UserError


class ErrorPanel(QFrame):
    """`dismissed` follows a click on the cross; the owner then removes the panel.

    `remedy` is a button that does what the hint says: its words and what it calls.
    """

    dismissed = Signal()

    def __init__(
        self,
        error: UserError,
        *,
        dismissable: bool = False,
        remedy: tuple[str, Callable[[], object]] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setProperty("role", "error")
        self.setAccessibleName(f"Error: {error.message}")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._error = error
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 10, 10)
        layout.setSpacing(8)
        top = QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(IconLabel("error", 18, "too_large"), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(label(error.message, "strong", wrap=True))
        if error.hint:
            words.addWidget(muted(error.hint))
        top.addLayout(words, 1)
        beside = Qt.AlignmentFlag.AlignTop if remedy is None else Qt.AlignmentFlag.AlignVCenter
        if remedy is not None:
            top.addWidget(button(*remedy), 0, beside)
        self._toggle = link("Details", self._toggle_details)
        top.addWidget(self._toggle, 0, beside)
        if dismissable:
            top.addWidget(icon_button("close", "Dismiss", self.dismissed.emit), 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(top)
        self._details = self._make_details()
        self._details.hide()
        layout.addWidget(self._details)

    def details(self) -> str:
        """All that is known, as text: what the Copy button copies."""
        parts = [self._error.message, self._error.hint, self._error.details]
        return "\n\n".join(part for part in parts if part)

    def _make_details(self) -> QWidget:
        box = QWidget()
        layout = QVBoxLayout(box)
        layout.setContentsMargins(28, 0, 0, 0)
        text = QPlainTextEdit(self.details())
        text.setReadOnly(True)
        text.setMaximumHeight(160)
        text.setAccessibleName("Details of the error")
        layout.addWidget(text)
        row = QHBoxLayout()
        row.addWidget(link("Copy", lambda: _copy(self.details())))
        row.addWidget(link("Copy diagnostics", lambda: _copy(f"{self.details()}\n\n{diagnostics.collect()}")))
        row.addStretch(1)
        layout.addLayout(row)
        return box

    def _toggle_details(self) -> None:
        shown = not self._details.isVisible()
        self._details.setVisible(shown)
        self._toggle.setText("Hide details" if shown else "Details")


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)
