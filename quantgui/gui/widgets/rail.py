"""The left rail: the loop's steps in order, with icons and words; Settings at its foot."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QSizePolicy, QToolButton, QVBoxLayout

from quantgui.gui import icons
from quantgui.gui.pages import Page
from quantgui.gui.widgets.icon_label import IconLabel
from quantgui.gui.widgets.text import label

WIDTH = 148


class Rail(QFrame):
    """`chosen` carries the id of the page that was clicked."""

    chosen = Signal(str)

    def __init__(self, pages: Sequence[Page]) -> None:
        super().__init__()
        self.setProperty("role", "rail")
        self.setFixedWidth(WIDTH)
        self.setAccessibleName("Pages")
        self._buttons: dict[str, QToolButton] = {}
        self._group = QButtonGroup(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 14, 10, 12)
        layout.setSpacing(4)
        layout.addLayout(_brand())
        layout.addSpacing(12)
        for page in (p for p in pages if not p.at_foot):
            layout.addWidget(self._add(page))
        layout.addStretch(1)
        for page in (p for p in pages if p.at_foot):
            layout.addWidget(self._add(page))

    def show_page(self, page_id: str) -> None:
        """Mark the page as the open one."""
        self._buttons[page_id].setChecked(True)

    def _add(self, page: Page) -> QToolButton:
        made = QToolButton()
        made.setProperty("role", "rail")
        made.setText(f"  {page.title}")
        icons.set_icon(made, page.icon)
        made.setIconSize(QSize(20, 20))
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.setCheckable(True)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        made.setToolTip(f"{page.tip}\n{page.shortcut}" if page.tip else page.shortcut)
        made.setAccessibleName(page.title)
        made.clicked.connect(lambda: self.chosen.emit(page.id))
        self._group.addButton(made)
        self._buttons[page.id] = made
        return made


def _brand() -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(8, 0, 0, 0)
    row.setSpacing(8)
    row.addWidget(IconLabel("quantgui", 22, "accent"))
    row.addWidget(label("QuantGUI", "heading"))
    row.addStretch(1)
    return row
