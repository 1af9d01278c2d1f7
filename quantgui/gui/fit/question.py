"""One question with its answer below: as a sentence at once, or on demand where finding it takes a while."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from quantgui.gui.widgets.busy import Busy
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.text import label, line


class Question(QWidget):
    """Fields that belong to the question go into `fields`, buttons for what to do with the answer into `links`."""

    def __init__(self, words: str, find: Callable[[], object] | None = None) -> None:
        super().__init__()
        self._question = label(words, "strong")
        self._answer = label(wrap=True)
        self._busy = Busy()
        self._busy.hide()
        self.fields = QHBoxLayout()
        self.fields.setSpacing(8)
        self.links = QHBoxLayout()
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self._question)
        head.addLayout(self.fields)
        head.addStretch(1)
        head.addWidget(self._busy)
        if find is not None:
            self._find = button("Find out", find)
            self._find.setAccessibleName(f"Find out: {words}")
            head.addWidget(self._find)
        below = QHBoxLayout()
        below.addWidget(self._answer, 1)
        below.addLayout(self.links)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addLayout(below)
        layout.addSpacing(4)
        layout.addWidget(line())

    @property
    def answer(self) -> str:
        """What is shown."""
        return self._answer.text()

    def ask(self, words: str) -> None:
        """Change the question's words."""
        self._question.setText(words)

    def show_answer(self, sentence: str) -> None:
        """Show an answer; "" for none yet."""
        self._busy.hide()
        self._answer.setText(sentence)
        self._answer.setVisible(bool(sentence))

    def show_busy(self, sentence: str) -> None:
        """The answer is being looked for."""
        self.show_answer(sentence)
        self._busy.show()
