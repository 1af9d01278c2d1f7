"""The recipe's exceptions: patterns with their precision, the first match decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from quantgui import units
from quantgui.gui.widgets.buttons import icon_button
from quantgui.gui.widgets.text import muted
from quantgui.schemes.recipe import Rule, SchemeSpec

KEEP_TITLE = "keep as it is"
ROW_HEIGHT = 36
SHOWN_ROWS = 3


class RuleList(QWidget):
    """`changed` brings the new tuple of rules after every edit by a person."""

    changed = Signal(tuple)

    def __init__(self, scheme_ids: Sequence[str], first: Rule, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scheme_ids = list(scheme_ids)
        self._first = first
        self._rules: tuple[Rule, ...] = ()
        self._shown: list[QWidget] = []
        self._empty = muted("None: the precision at the left decides for every layer. Presets and tensors add some.")
        self._rows = QVBoxLayout()
        self._rows.setContentsMargins(0, 0, 4, 0)
        self._rows.setSpacing(2)
        inner = QWidget()
        inner.setProperty("role", "plain")
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._rows)
        column.addStretch(1)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setWidget(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._empty)
        layout.addWidget(self._area)
        self.show_rules((), ())

    def set_choices(self, scheme_ids: Sequence[str], first: Rule) -> None:
        """What a rule may give to its tensors, and what an added one begins as; shown with the next rules."""
        self._scheme_ids = list(scheme_ids)
        self._first = first

    def show_rules(self, rules: tuple[Rule, ...], matches: Sequence[int]) -> None:
        """Show the rules and how many tensors each of them decides."""
        self._rules = rules
        for row in self._shown:
            self._rows.removeWidget(row)
            row.hide()
            row.deleteLater()
        counts = [*matches, *([None] * len(rules))]
        self._shown = [self._row(index, rule, counts[index]) for index, rule in enumerate(rules)]
        for row in self._shown:
            self._rows.addWidget(row)
        self._empty.setVisible(not rules)
        self._area.setVisible(bool(rules))
        self._area.setFixedHeight(min(len(rules), SHOWN_ROWS) * ROW_HEIGHT)

    def add(self) -> None:
        """Append an exception for the person to fill in."""
        self.changed.emit((*self._rules, self._first))

    def _row(self, index: int, rule: Rule, matches: int | None) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        pattern = QLineEdit(rule.pattern)
        pattern.setAccessibleName(f"Pattern of exception {index + 1}")
        pattern.setToolTip(
            f"{rule.pattern}\nTensor names this exception is about. * stands for anything; re: begins an expression."
        )
        pattern.setCursorPosition(0)
        pattern.editingFinished.connect(lambda: self._replace(index, replace(rule, pattern=pattern.text().strip())))
        count = muted(_matches(matches), wrap=False)
        count.setMinimumWidth(78)
        up = icon_button("arrow-up", "Move up: earlier exceptions win", lambda: self._swap(index, index - 1))
        down = icon_button("arrow-down", "Move down", lambda: self._swap(index, index + 1))
        up.setEnabled(index > 0)
        down.setEnabled(index < len(self._rules) - 1)
        layout.addWidget(pattern, 1)
        layout.addWidget(self._scheme_box(index, rule))
        layout.addWidget(count)
        if len(self._rules) > 1:
            layout.addWidget(up)
            layout.addWidget(down)
        layout.addWidget(icon_button("trash", "Remove this exception", lambda: self._remove(index)))
        return row

    def _scheme_box(self, index: int, rule: Rule) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(f"Precision of exception {index + 1}")
        for scheme_id in self._scheme_ids:
            box.addItem(scheme_id, scheme_id)
        box.addItem(KEEP_TITLE, None)
        if rule.scheme and box.findData(rule.scheme.id) < 0:  # what this recipe cannot use is shown all the same
            box.insertItem(0, rule.scheme.id, rule.scheme.id)
        box.setCurrentIndex(box.findData(rule.scheme.id) if rule.scheme else box.count() - 1)
        box.activated.connect(lambda chosen: self._choose(index, rule, box.itemData(chosen)))
        return box

    def _choose(self, index: int, rule: Rule, scheme_id: str | None) -> None:
        if scheme_id != (rule.scheme.id if rule.scheme else None):
            self._replace(index, replace(rule, scheme=SchemeSpec(scheme_id) if scheme_id else None))

    def _replace(self, index: int, rule: Rule) -> None:
        if index < len(self._rules) and rule != self._rules[index] and rule.pattern:
            self.changed.emit((*self._rules[:index], rule, *self._rules[index + 1 :]))

    def _swap(self, index: int, other: int) -> None:
        rules = list(self._rules)
        rules[index], rules[other] = rules[other], rules[index]
        self.changed.emit(tuple(rules))

    def _remove(self, index: int) -> None:
        self.changed.emit((*self._rules[:index], *self._rules[index + 1 :]))


def _matches(count: int | None) -> str:
    if count is None:
        return ""
    return "no tensor" if count == 0 else f"{units.count(count)} {'tensor' if count == 1 else 'tensors'}"
