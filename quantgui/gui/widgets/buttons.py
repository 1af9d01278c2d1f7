"""Buttons in the window's three voices: the page's one primary action, ordinary, and links."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QPushButton, QToolButton

from quantgui.gui import icons


def button(
    text: str, clicked: Callable[[], object] | None = None, *, icon: str = "", primary: bool = False, tip: str = ""
) -> QPushButton:
    """A push button; `primary` for the one action a page is about."""
    made = QPushButton(text)
    made.setAccessibleName(text)
    made.setProperty("primary", primary)
    made.setAutoDefault(False)
    made.setToolTip(tip)
    if icon:
        icons.set_icon(made, icon)
        made.setIconSize(QSize(icons.BESIDE_TEXT + icons.GAP, icons.BESIDE_TEXT))
    if clicked is not None:
        made.clicked.connect(lambda: clicked())
    return made


def link(text: str, clicked: Callable[[], object] | None = None, *, tip: str = "") -> QPushButton:
    """A button that looks like a link: secondary actions inside text and tables."""
    made = button(text, clicked, tip=tip)
    made.setProperty("role", "link")
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    return made


def icon_button(icon: str, name: str, clicked: Callable[[], object] | None = None) -> QToolButton:
    """A button with an icon alone; `name` is its tooltip and what a screen reader says."""
    made = QToolButton()
    icons.set_icon(made, icon)
    made.setToolTip(name)
    made.setAccessibleName(name)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    if clicked is not None:
        made.clicked.connect(lambda: clicked())
    return made
