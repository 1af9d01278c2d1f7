"""A verdict as a word, an icon and a colour together; never by colour alone."""

from __future__ import annotations

from functools import cache
from math import ceil

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from quantgui.gui import icons, theme
from quantgui.types import Verdict

WORDS = {
    Verdict.FITS: "Fits",
    Verdict.TIGHT: "Tight",
    Verdict.OFFLOAD: "Needs RAM offload",
    Verdict.TOO_LARGE: "Too large",
}
HEIGHT = 22
_ICON = 14
_PADDING = 7


def badge_width(verdict: Verdict) -> float:
    """Width of the painted badge in device-independent pixels."""
    metrics = QFontMetricsF(_font())
    return _PADDING * 2 + _ICON + 5 + metrics.horizontalAdvance(WORDS[verdict])


def paint_badge(painter: QPainter, left: float, middle: float, verdict: Verdict) -> None:
    """Draw the badge with its left edge at `left`, centred on the height `middle`."""
    ratio = painter.device().devicePixelRatio()
    painter.drawPixmap(QPointF(left, middle - HEIGHT / 2), _picture(verdict, theme.current().name, ratio))


@cache
def _picture(verdict: Verdict, theme_name: str, ratio: float) -> QPixmap:
    """The badge as a picture: a table paints many of them, and rounded corners take long."""
    picture = QPixmap(ceil(badge_width(verdict) * ratio), ceil(HEIGHT * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    _paint(painter, verdict)
    painter.end()
    return picture


def _paint(painter: QPainter, verdict: Verdict) -> None:
    colors = theme.current()
    color = colors.verdict(verdict)
    rect = QRectF(0, 0, badge_width(verdict), HEIGHT)
    background = QColor(color)
    background.setAlphaF(0.16 if colors.is_dark else 0.11)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(background)
    painter.drawRoundedRect(rect, HEIGHT / 2, HEIGHT / 2)
    icons.paint(painter, verdict.value, QRectF(_PADDING, (HEIGHT - _ICON) / 2, _ICON, _ICON), color.name())
    painter.setFont(_font())
    painter.setPen(color)
    words = rect.adjusted(_PADDING + _ICON + 5, 0, 0, 0)
    painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, WORDS[verdict])


class VerdictBadge(QWidget):
    """The badge as a widget."""

    def __init__(self, verdict: Verdict = Verdict.FITS, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.set_verdict(verdict)

    def set_verdict(self, verdict: Verdict, reason: str = "") -> None:
        """Show `verdict`; its reason comes on hover."""
        self._verdict = verdict
        self.setToolTip(reason)
        self.setAccessibleName(f"Verdict: {WORDS[verdict]}")
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Just the badge."""
        return QSize(round(badge_width(self._verdict)) + 1, HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the badge."""
        paint_badge(QPainter(self), 0, self.height() / 2, self._verdict)


def _font() -> QFont:
    return theme.font(12, QFont.Weight.Medium)
