"""A column of facts: a word that explains itself on hover, and what is known about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from quantgui.gui import glossary
from quantgui.gui.widgets.text import label


@dataclass(frozen=True)
class Fact:
    """One line. `word` is the glossary's entry where it is not the title itself; `tip` holds the raw value."""

    title: str
    value: str
    word: str = ""
    tip: str = ""


class Facts(QWidget):
    """Rows of facts; labels are reused while the number of facts stays the same."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(6)
        self._grid.setColumnStretch(1, 1)
        self._rows: list[tuple[QLabel, QLabel]] = []
        self.set_facts(facts)

    def set_facts(self, facts: Iterable[Fact]) -> None:
        """Show these facts instead."""
        known = [fact for fact in facts if fact.value]
        while len(self._rows) > len(known):
            for widget in self._rows.pop():
                widget.deleteLater()
        while len(self._rows) < len(known):
            self._add_row()
        for fact, (title, value) in zip(known, self._rows, strict=True):
            title.setText(fact.title)
            title.setToolTip(glossary.explain(fact.word or fact.title))
            value.setText(fact.value)
            value.setToolTip(fact.tip)
            value.setAccessibleName(f"{fact.title}: {fact.value}")

    def _add_row(self) -> None:
        title, value = label(role="muted"), label(wrap=True)
        row = len(self._rows)
        self._grid.addWidget(title, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(value, row, 1)
        self._rows.append((title, value))
