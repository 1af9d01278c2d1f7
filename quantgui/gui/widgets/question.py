"""A question where it arises: nothing happens until it is answered, and the harmless answer has the focus."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QApplication, QHBoxLayout, QVBoxLayout, QWidget

from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.text import small


class QuestionSlot(QWidget):
    """Takes no place while nothing is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(5, 0, 0, 0)
        self._question: QWidget | None = None
        self._asker: QWidget | None = None
        self.hide()

    def ask(self, question: str, action: str, agreed: Callable[[], object], refusal: str = "Keep") -> None:
        """Ask, unless something is being asked already. `action` calls `agreed`; `refusal` takes the question away."""
        if self._question is not None:
            return
        self._asker = QApplication.focusWidget()
        self._question = box = QWidget()
        row = QHBoxLayout(box)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(small(question), 1)

        def agree() -> None:
            self.withdraw()
            agreed()

        keep = button(refusal, self.withdraw)
        row.addWidget(button(action, agree))
        row.addWidget(keep)
        self._layout.addWidget(box)
        self.show()
        keep.setFocus()

    def withdraw(self) -> None:
        """Take the question away."""
        question, self._question = self._question, None
        if question is not None:
            focus = QApplication.focusWidget()
            if self._asker is not None and focus is not None and question.isAncestorOf(focus):
                self._asker.setFocus()  # else the focus would jump to the beginning of the window
            question.hide()
            question.deleteLater()
        self.hide()
