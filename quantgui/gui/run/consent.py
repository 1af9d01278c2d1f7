"""A question that stands in the way of a run: what there is to know, and a box that says yes."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from quantgui.gui.widgets.text import label


class Consent(QWidget):
    """Hidden while there is nothing to ask. `yes` are the words beside the box; a refusal has no box."""

    toggled = Signal(bool)

    def __init__(self, yes: str, *others: QWidget) -> None:
        super().__init__()
        self._words = label(wrap=True)
        self.box = QCheckBox(yes)
        self.box.toggled.connect(self.toggled)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._words, 1)
        layout.addWidget(self.box)
        for other in others:
            layout.addWidget(other)
        self.hide()

    @property
    def is_given(self) -> bool:
        """Whether somebody has said yes."""
        return self.box.isChecked()

    @property
    def is_open(self) -> bool:
        """Whether it asks and nobody has said yes."""
        return not self.isHidden() and not self.is_given

    def ask(self, words: str, *, may_agree: bool = True) -> None:
        """Shows the question, or hides it for ""; an earlier yes does not outlive what it was said to."""
        if words != self._words.text() or not may_agree:
            self.box.setChecked(False)
        self._words.setText(words)
        self.box.setVisible(may_agree)
        self.setVisible(bool(words))
