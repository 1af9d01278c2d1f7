"""Which should I use: a sentence per purpose, and a button that makes it the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from quantgui.gui.recipe.advice import Advice
from quantgui.gui.widgets.buttons import link
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.foldable import Foldable
from quantgui.gui.widgets.text import label


class AdviceCard(Card):
    """`chosen` brings the SchemeSpec of the answer that a person takes."""

    chosen = Signal(object)

    def __init__(self, *, is_open: bool, remember: Callable[[str], None]) -> None:
        super().__init__(margins=(12, 8, 16, 10))
        self._answers: tuple[Advice, ...] = ()
        self._shown: QWidget | None = None
        self._fold = Foldable("Which should I use?", is_open=is_open, remember=remember)
        self.body.addWidget(self._fold)

    def show_answers(self, answers: Sequence[Advice]) -> None:
        """Show these answers; none hides the card."""
        self.setVisible(bool(answers))
        if tuple(answers) == self._answers:
            return
        self._answers = tuple(answers)
        if self._shown is not None:
            self._shown.hide()
            self._shown.deleteLater()
        self._shown = box = QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(20, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(0, 1)
        for index, answer in enumerate(answers):
            self._add(grid, index, answer)
        self._fold.body.addWidget(box)

    def _add(self, grid: QGridLayout, index: int, answer: Advice) -> None:
        purpose = f'<span style="font-weight:600">{escape(answer.purpose)}.</span>'
        words = label(f"{purpose} {escape(answer.sentence)}", wrap=True)
        words.setTextFormat(Qt.TextFormat.RichText)
        grid.addWidget(words, index, 0)
        spec = answer.spec
        if spec is not None:
            use = link(f"Use {spec.id}", lambda: self.chosen.emit(spec))
            use.setAccessibleName(f"{answer.purpose}: use {spec.id}")
            grid.addWidget(use, index, 1)
