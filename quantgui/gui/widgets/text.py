"""Labels in the four sizes and three voices of the window."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QWidget

from quantgui.gui import glossary


def label(text: str = "", role: str = "", *, wrap: bool = False, parent: QWidget | None = None) -> QLabel:
    """A label that can be selected with the mouse. Roles: "title", "heading", "strong", "muted", "small"."""
    made = QLabel(text, parent)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if role:
        made.setProperty("role", role)
    if wrap:
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        made.setSizePolicy(policy)
    return made


def title(text: str = "") -> QLabel:
    """The one title of a page: what was found, when something was found."""
    return label(text, "title", wrap=True)


def heading(text: str = "") -> QLabel:
    """The heading of a card or a section."""
    return label(text, "heading")


def muted(text: str = "", *, wrap: bool = True) -> QLabel:
    """Text of second rank."""
    return label(text, "muted", wrap=wrap)


def small(text: str = "", *, wrap: bool = True) -> QLabel:
    """Notes and captions."""
    return label(text, "small", wrap=wrap)


def term(text: str, word: str = "") -> QLabel:
    """A technical word whose explanation comes on hover, from the glossary."""
    made = label(text, "muted")
    made.setToolTip(glossary.explain(word or text))
    return made


def line() -> QFrame:
    """A thin horizontal line."""
    made = QFrame()
    made.setProperty("role", "line")
    made.setFixedHeight(1)
    return made
