"""What the colours and marks of the bars mean, in one line above them; each word explains itself on hover."""

from __future__ import annotations

from enum import Enum

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QBrush, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QWidget

from quantgui.gui import glossary, theme
from quantgui.gui.fit.words import PARTS
from quantgui.gui.widgets.text import small
from quantgui.types import MemoryKind

_SIZE = 12


class Mark(Enum):
    """Marks of the bars that are no part of the memory."""

    BEYOND = "beyond the limit"
    BAND = "error band"


class Legend(QWidget):
    """The four parts, the hatch and the whisker."""

    def __init__(self) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        entries: list[tuple[MemoryKind | Mark, str]] = [*PARTS.items(), *((mark, mark.value) for mark in Mark)]
        for kind, words in entries:
            name = small(words, wrap=False)
            name.setToolTip(glossary.explain(words))
            layout.addWidget(_Swatch(kind))
            layout.addWidget(name)
            layout.addSpacing(8)
        layout.addStretch(1)


class _Swatch(QWidget):
    def __init__(self, kind: MemoryKind | Mark) -> None:
        super().__init__()
        self._kind = kind
        self.setFixedSize(_SIZE, _SIZE)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw a square of the part's hue, or the mark."""
        colors = theme.current()
        painter = QPainter(self)
        square = QRectF(1, 1, _SIZE - 2, _SIZE - 2)
        if isinstance(self._kind, MemoryKind):
            painter.fillRect(square, colors.memory(self._kind))
        elif self._kind is Mark.BEYOND:
            painter.fillRect(square, QBrush(colors.color("muted"), Qt.BrushStyle.BDiagPattern))
        else:
            painter.setPen(QPen(colors.color("text"), 1.2))
            painter.drawLines([QLineF(1, 6, 11, 6), QLineF(1, 3, 1, 9), QLineF(11, 3, 11, 9)])
