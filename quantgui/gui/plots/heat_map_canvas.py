"""The painted layer x module map: cells, names, layer numbers and the colour scale."""

from __future__ import annotations

from itertools import islice

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from quantgui import units
from quantgui.gui import theme
from quantgui.report.colors import cividis, text_on
from quantgui.report.layer_grid import Cell, LayerGrid

_AXIS = 36  # room for layer numbers and the axis title
_SCALE = 62  # room for the colour scale and its numbers
_GAP = 8
_MAX_CELL = 46
_WORDS_WIDTH = 34  # "exact" with some air
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class HeatMapCanvas(QWidget):
    """Paints a LayerGrid. The pointer and the arrow keys say which cell; a click or Enter selects its tensor."""

    hovered = Signal(object)  # Cell or None
    chosen = Signal(str)  # full name of a tensor

    def __init__(self) -> None:
        super().__init__()
        self._grid = LayerGrid()
        self._selected = ""
        self._under: tuple[int, str] | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(260, 140)

    def set_grid(self, grid: LayerGrid, selected: str) -> None:
        """Paint this grid and mark the selected tensor's cell."""
        self._grid, self._selected = grid, selected
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything."""
        painter = QPainter(self)
        painter.setFont(theme.font(theme.SMALL))
        self._paint_cells(painter)
        self._paint_names(painter)
        self._paint_scale(painter)
        painter.end()

    def cell_at(self, point: QPointF) -> Cell | None:
        """The cell below a point of the widget."""
        area, layers, modules = self._area(), self._grid.layers, self._grid.modules
        if not layers or not area.contains(point):
            return None
        column = int((point.x() - area.left()) / area.width() * len(layers))
        row = int((point.y() - area.top()) / area.height() * len(modules))
        return self._grid.cells.get((layers[min(column, len(layers) - 1)], modules[min(row, len(modules) - 1)]))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell which cell is below the pointer."""
        self._point_at(self.cell_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        """No cell is below the pointer any more."""
        self._point_at(None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select the tensor of the cell."""
        cell = self.cell_at(event.position())
        if cell is not None and event.button() is Qt.MouseButton.LeftButton:
            self.chosen.emit(cell.report.name)
        else:
            super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Walk over the cells with the arrows; each step selects."""
        if event.key() not in _ARROWS or not self._grid.cells:
            super().keyPressEvent(event)
            return
        layers, modules = self._grid.layers, self._grid.modules
        step = _ARROWS[Qt.Key(event.key())]
        known = next((key for key, cell in self._grid.cells.items() if cell.report.name == self._selected), None)
        column, row = (layers.index(known[0]), modules.index(known[1])) if known else (-step[0], -step[1])
        column = min(max(column + step[0], 0), len(layers) - 1)
        row = min(max(row + step[1], 0), len(modules) - 1)
        cell = self._grid.cells.get((layers[column], modules[row]))
        if cell is not None:
            self.chosen.emit(cell.report.name)

    def event(self, event: QEvent) -> bool:
        """Tooltips with the full name."""
        if isinstance(event, QHelpEvent):
            cell = self.cell_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), describe(cell) if cell else "", self)
            return True
        return super().event(event)

    def _point_at(self, cell: Cell | None) -> None:
        under = (cell.layer, cell.module) if cell else None
        if under != self._under:
            self._under = under
            self.hovered.emit(cell)
            self.update()

    def _area(self) -> QRectF:
        """Where the cells are."""
        metrics = QFontMetricsF(theme.font(theme.SMALL))
        names = max((metrics.horizontalAdvance(name) for name in self._grid.modules), default=0.0)
        left = min(names, self.width() * 0.3) + 2 * _GAP
        height = min(self.height() - _AXIS - 4, _MAX_CELL * max(1, len(self._grid.modules)))
        return QRectF(left, 4, max(40.0, self.width() - left - _SCALE), max(20.0, height))

    def _rects(self) -> dict[tuple[int, str], QRectF]:
        """Where each cell of the grid is, with a thin line of background between them where there is room."""
        area, layers, modules = self._area(), self._grid.layers, self._grid.modules
        width, height = area.width() / max(1, len(layers)), area.height() / max(1, len(modules))
        gap = 1 if min(width, height) > 6 else 0
        left = {layer: area.left() + index * width for index, layer in enumerate(layers)}
        top = {module: area.top() + index * height for index, module in enumerate(modules)}
        return {key: QRectF(left[key[0]], top[key[1]], width - gap, height - gap) for key in self._grid.cells}

    def _paint_cells(self, painter: QPainter) -> None:
        colors = theme.current()
        low, high = self._grid.span()
        rects = self._rects()
        has_words = any(r.height() >= 13 and r.width() >= _WORDS_WIDTH for r in islice(rects.values(), 1))
        for key, cell in self._grid.cells.items():
            self._paint_cell(painter, rects[key], cell, low, high, has_words)
        selected = next((key for key, cell in self._grid.cells.items() if cell.report.name == self._selected), None)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for marked, pen in (
            (self._under, QPen(colors.color("muted"), 1.5)),
            (selected, QPen(colors.color("text"), 2.5)),
        ):
            if marked in rects:
                painter.setPen(pen)
                painter.drawRect(rects[marked].adjusted(0.5, 0.5, -0.5, -0.5))

    def _paint_cell(
        self, painter: QPainter, rect: QRectF, cell: Cell, low: float, high: float, has_words: bool
    ) -> None:
        if cell.is_kept:
            colors = theme.current()
            painter.fillRect(rect, colors.color("raised"))
            hatch = colors.color("muted")
            hatch.setAlphaF(0.45)
            small = min(rect.width(), rect.height()) < 4
            painter.fillRect(rect, QBrush(hatch, Qt.BrushStyle.SolidPattern if small else Qt.BrushStyle.BDiagPattern))
            return
        value = cell.sqnr_db
        shade = cividis(1.0 if value is None else (value - low) / (high - low))
        painter.fillRect(rect, QColor(*shade))
        if has_words:
            painter.setPen(QColor(text_on(shade)))
            words = "exact" if value is None else f"{value:.1f}"
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, words)

    def _paint_names(self, painter: QPainter) -> None:
        area, layers, modules = self._area(), self._grid.layers, self._grid.modules
        painter.setPen(theme.current().color("muted"))
        metrics = painter.fontMetrics()
        height = area.height() / max(1, len(modules))
        every = max(1, -(-metrics.height() // max(1, round(height))))
        for row in range(0, len(modules), every):
            rect = QRectF(_GAP, area.top() + row * height, area.left() - 2 * _GAP, height)
            name = metrics.elidedText(modules[row], Qt.TextElideMode.ElideMiddle, round(rect.width()) + 1)
            painter.drawText(rect, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)
        width = area.width() / max(1, len(layers))
        every = max(1, -(-metrics.horizontalAdvance("000") // max(1, int(width))))
        for column in range(0, len(layers), every):
            rect = QRectF(area.left() + column * width - 20, area.bottom() + 2, width + 40, 15)
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, str(layers[column]))
        title = QRectF(area.left(), area.bottom() + 17, area.width(), 16)
        painter.drawText(title, Qt.AlignmentFlag.AlignCenter, "Layer")

    def _paint_scale(self, painter: QPainter) -> None:
        area = self._area()
        low, high = self._grid.span()
        left, steps = area.right() + 10, 48
        for step in range(steps):
            shade = cividis(1 - step / (steps - 1))
            top = area.top() + area.height() * step / steps
            painter.fillRect(QRectF(left, top, 10, area.height() / steps + 0.5), QColor(*shade))
        painter.setPen(theme.current().color("muted"))
        if not self._grid.values():
            return
        for value, middle in ((high, area.top() + 7), (low, area.bottom() - 7)):
            rect = QRectF(left + 13, middle - 8, _SCALE - 23, 16)
            painter.drawText(
                rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, f"{value:.0f}{units.NBSP}dB"
            )


def describe(cell: Cell) -> str:
    """One cell in words: tensor, precision and error."""
    report = cell.report
    words = [report.short_name, report.name]
    if cell.tensors > 1:
        words.append(f"worst of {cell.tensors} tensors")
    if cell.is_kept:
        words.append(f"kept as it was. {report.why_kept}".strip())
    else:
        error = "exact" if cell.sqnr_db is None else f"SQNR {units.decibels(cell.sqnr_db)}"
        words.append(f"{report.scheme_id}, {units.bits_per_weight(report.bits)}, {error}")
    return "\n".join(words)
