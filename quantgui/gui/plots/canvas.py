"""A pyqtgraph plot as the window wants it: quiet grid, crosshair, drag to zoom, double click to reset."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pyqtgraph as pg
from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy

from quantgui.gui import theme
from quantgui.gui.plots.axes import Axis

_GRID_ALPHA = 0.55
_KEY_MARGIN = 16


class Canvas(pg.PlotWidget):
    """Two axes and what a panel draws into them. The wheel scrolls the page; with Ctrl it zooms."""

    hovered = Signal(float)  # x under the pointer, in data units
    clicked = Signal(float)  # x under the pointer; dragging zooms and is no click
    left = Signal()
    restyled = Signal()  # the theme changed: draw again in its colours

    def __init__(self, bottom: Axis, left: Axis) -> None:
        super().__init__(axisItems={"bottom": bottom, "left": left})
        self.bottom, self.left_axis = bottom, left
        self._home: tuple[tuple[float, float], tuple[float, float]] | None = None
        plot = self.getPlotItem()
        assert plot is not None
        self.plot: pg.PlotItem = plot
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setContentsMargins(0, 4, 8, 0)
        self.view: pg.ViewBox = self.plot.getViewBox()
        self.view.setMouseMode(pg.ViewBox.RectMode)
        self.view.setDefaultPadding(0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(110)
        self.setMouseTracking(True)
        self.viewport().setFocusPolicy(Qt.FocusPolicy.NoFocus)  # one stop of the Tab key, not two
        self._entries: tuple[tuple[str, str], ...] = ()
        self._key = pg.LabelItem(justify="left")
        self._key.setParentItem(self.view)
        self._key.anchor(itemPos=(0, 0), parentPos=(0, 0), offset=(6, 0))
        self.crosshair = pg.InfiniteLine(angle=90)
        self.crosshair.setVisible(False)
        self.crosshair.setZValue(50)
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self.restyle()

    def sizeHint(self) -> QSize:
        """Three of them fit below each other on a small window."""
        return QSize(320, 130)

    def pen(self, color: str | QColor, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
        """A pen whose width does not grow with the zoom."""
        return pg.mkPen(color, width=width, style=style)

    def clear_items(self) -> None:
        """Remove everything that was drawn; the crosshair stays."""
        self.plot.clear()
        self.plot.addItem(self.crosshair, ignoreBounds=True)

    def set_key(self, entries: Sequence[tuple[str, str]]) -> None:
        """Name what is drawn, in its colours, in the upper left corner: (words, colour)."""
        self._entries = tuple(entries)
        self._lay_out_key()

    def _lay_out_key(self) -> None:
        """One line where it fits, else several: a narrow plot must not cut its key off."""
        metrics = QFontMetricsF(theme.font(theme.SMALL))
        room = self.view.width() - _KEY_MARGIN
        lines: list[list[str]] = []
        used = 0.0
        for words, color in self._entries:
            width = metrics.horizontalAdvance(f"■ {words}   ")
            if not lines or used + width > room:
                lines.append([])
                used = 0.0
            used += width
            lines[-1].append(f'<span style="color:{color}">■</span> {escape(words)}')
        text = "<br>".join("&nbsp;&nbsp;&nbsp;".join(line) for line in lines)
        self._key.setText(text, size=f"{theme.SMALL}px", color=theme.current().muted)

    def resizeEvent(self, ev: QResizeEvent) -> None:
        """Lay the key out for the new width."""
        super().resizeEvent(ev)
        if hasattr(self, "_entries"):
            self._lay_out_key()

    def set_home(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Show this range, and come back to it on a double click."""
        self._home = (x, y)
        self.view.setLimits(xMin=x[0], xMax=x[1], yMin=y[0], yMax=y[1])
        self.go_home()

    def go_home(self) -> None:
        """Undo every zoom."""
        if self._home is not None:
            self.view.setRange(xRange=self._home[0], yRange=self._home[1], padding=0, disableAutoRange=True)

    def restyle(self) -> None:
        """Take the colours of the theme in force."""
        colors = theme.current()
        self.setBackground(colors.surface)
        for axis in (self.bottom, self.left_axis):
            axis.restyle()
        self.plot.showGrid(x=True, y=True, alpha=_GRID_ALPHA)
        self.crosshair.setPen(self.pen(colors.muted, 1, Qt.PenStyle.DashLine))
        self.view.rbScaleBox.setPen(self.pen(colors.accent))

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.PaletteChange and hasattr(self, "crosshair"):
            self.restyle()
            self.restyled.emit()

    def mouseMoveEvent(self, ev: QMouseEvent) -> None:
        """Move the crosshair and tell where it is."""
        super().mouseMoveEvent(ev)
        position = self.mapToScene(ev.position().toPoint())
        inside = self.view.sceneBoundingRect().contains(position)
        self.crosshair.setVisible(inside)
        if inside:
            point: QPointF = self.view.mapSceneToView(position)
            self.crosshair.setValue(point.x())
            self.hovered.emit(point.x())
        else:
            self.left.emit()

    def _clicked(self, event: MouseClickEvent) -> None:
        """The scene tells a click from the beginning of a zoom."""
        inside = self.view.sceneBoundingRect().contains(event.scenePos())
        if inside and event.button() == Qt.MouseButton.LeftButton and not event.double():
            self.clicked.emit(self.view.mapSceneToView(event.scenePos()).x())

    def leaveEvent(self, ev: QEvent) -> None:
        """Hide the crosshair."""
        super().leaveEvent(ev)
        self.crosshair.setVisible(False)
        self.left.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Undo every zoom."""
        self.go_home()
        event.accept()

    def wheelEvent(self, ev: QWheelEvent) -> None:
        """Zoom with Ctrl, else let the page scroll."""
        if ev.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(ev)
        else:
            ev.ignore()
