"""An empty page teaches: one picture, one sentence, one button."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.icon_label import IconLabel
from quantgui.gui.widgets.text import heading, muted


class EmptyState(QWidget):
    """Stands in the middle of the room that the missing thing would take."""

    def __init__(
        self, icon: str, title: str, sentence: str, action: str = "", clicked: Callable[[], object] | None = None
    ) -> None:
        super().__init__()
        words = heading(title)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        text = muted(sentence)
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        text.setFixedWidth(440)
        middle = QHBoxLayout()  # an alignment instead would ignore that wrapped text needs height
        middle.addStretch(1)
        middle.addWidget(text)
        middle.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addStretch(2)
        layout.addWidget(IconLabel(icon, 44, "muted"))
        layout.addWidget(words)
        layout.addLayout(middle)
        if action:
            layout.addSpacing(6)
            layout.addWidget(button(action, clicked, primary=True), 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
