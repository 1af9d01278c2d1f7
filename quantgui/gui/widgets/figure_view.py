"""Shows a figure of the report as it will be in the file, in the colours of the window's theme."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QSizePolicy, QWidget

from quantgui.gui import theme


class FigureView(QWidget):
    """Scales an SVG to its width, never beyond its natural size times `LARGEST`."""

    LARGEST = 1.25

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._svg = ""
        self._renderer = QSvgRenderer(self)
        self._renderer.setAspectRatioMode(Qt.AspectRatioMode.KeepAspectRatio)
        self.setAccessibleName(name)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_svg(self, svg: str) -> None:
        """Show `svg`, whose classes are those of the report's style sheet."""
        self._svg = svg
        self._load()
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """The figure's natural size."""
        return self._renderer.defaultSize()

    def heightForWidth(self, width: int) -> int:
        """The height that keeps the figure's proportions."""
        natural = self._renderer.defaultSize()
        if natural.width() <= 0:
            return 0
        return round(natural.height() * min(width / natural.width(), self.LARGEST))

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange and self._svg:
            self._load()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the figure at the top left."""
        natural = self._renderer.defaultSize()
        if not self._svg or natural.width() <= 0:
            return
        scale = min(self.width() / natural.width(), self.height() / natural.height(), self.LARGEST)
        painter = QPainter(self)
        self._renderer.render(painter, QRectF(0, 0, natural.width() * scale, natural.height() * scale))

    def _load(self) -> None:
        colors = theme.current()
        style = (
            f".axis {{ fill: {colors.muted}; font-size: 11px; }} .value {{ font-size: 11px; }} "
            f"text {{ font-family: {self.font().family()}; }}"
        )
        start = self._svg.index(">") + 1
        opening = self._svg[: start - 1] + ' xmlns="http://www.w3.org/2000/svg">'
        styled = f"{opening}<style>{style}</style>{self._svg[start:]}"
        self._renderer.load(QByteArray(styled.encode()))
        self.update()
