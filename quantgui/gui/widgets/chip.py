"""What stands in the top bar for the model and for the hardware; a click opens its picker."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from quantgui.gui import icons, theme

_ICON = 18
_PADDING = 10
HEIGHT = 38


class Chip(QAbstractButton):
    """An icon, a name in bold and facts after it, shortened at the end where room is scarce."""

    def __init__(self, icon: str, purpose: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = icon
        self._purpose = purpose
        self._name = self._facts = ""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def set_content(self, name: str, facts: str = "") -> None:
        """Show these words; the tooltip holds them in full."""
        if (name, facts) == (self._name, self._facts):
            return
        self._name, self._facts = name, facts
        words = f"{name} · {facts}" if facts else name
        self.setToolTip(f"{words}\nClick to choose another {self._purpose}.")
        self.setAccessibleName(f"{self._purpose.capitalize()}: {words}")
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Room for all words."""
        return QSize(self._words_left() + self._name_width() + self._facts_width() + _PADDING + 20, HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Room for the beginning of the name."""
        return QSize(120, HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw frame, icon, name, facts and the arrow."""
        colors = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        focused = self.hasFocus()
        painter.setPen(QPen(colors.color("accent" if focused else "border"), 2 if focused else 1))
        painter.setBrush(colors.color("raised" if self.underMouse() else "surface"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 8, 8)
        middle = self.height() / 2
        icons.paint(painter, self._icon, QRectF(_PADDING, middle - _ICON / 2, _ICON, _ICON), colors.accent)
        self._paint_words(painter)
        arrow = QRectF(self.width() - _PADDING - 12, middle - 6, 12, 12)
        icons.paint(painter, "chevron-down", arrow, colors.muted)

    def _paint_words(self, painter: QPainter) -> None:
        colors = theme.current()
        room = self.width() - self._words_left() - _PADDING - 18
        bold, plain = QFontMetrics(_bold()), QFontMetrics(theme.font())
        name = bold.elidedText(self._name, Qt.TextElideMode.ElideMiddle, room)
        baseline = (self.height() + bold.ascent() - bold.descent()) / 2
        painter.setFont(_bold())
        painter.setPen(colors.color("text"))
        painter.drawText(QPointF(self._words_left(), baseline), name)
        used = bold.horizontalAdvance(name)
        if self._facts and room - used > 40:
            painter.setFont(theme.font())
            painter.setPen(colors.color("muted"))
            facts = plain.elidedText(f" · {self._facts}", Qt.TextElideMode.ElideRight, room - used)
            painter.drawText(QPointF(self._words_left() + used, baseline), facts)

    def _words_left(self) -> int:
        return _PADDING + _ICON + 8

    def _name_width(self) -> int:
        return QFontMetrics(_bold()).horizontalAdvance(self._name)

    def _facts_width(self) -> int:
        return QFontMetrics(theme.font()).horizontalAdvance(f" · {self._facts}") if self._facts else 0


def _bold() -> QFont:
    return theme.font(weight=QFont.Weight.DemiBold)
