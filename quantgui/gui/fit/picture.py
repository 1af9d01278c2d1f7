"""The fit table as a picture: title, legend, head, and every line that is unfolded, however long the table is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QImage, QPainter

from quantgui.gui import theme
from quantgui.gui.fit.columns import COLUMNS, MEMORY, WIDTHS
from quantgui.gui.fit.groups import TITLES, Group
from quantgui.gui.fit.legend import Legend
from quantgui.gui.fit.row_painter import Marks, paint_group, paint_row
from quantgui.gui.fit.scale import Scale
from quantgui.gui.fit.table_header import HEIGHT as HEAD_HEIGHT
from quantgui.gui.fit.table_header import paint_head
from quantgui.gui.fit.table_model import ROW_HEIGHT
from quantgui.types import UserError

WIDTH, MARGIN, TITLE_HEIGHT, LEGEND_HEIGHT = 1120, 20, 52, 26
_PIXELS = 2  # per device-independent pixel
_FOOTER = "Estimated by QuantGUI. GiB = 2^30 bytes."


def save_picture(
    path: Path, title: str, subtitle: str, groups: Sequence[Group], scale: Scale, best: str, in_recipe: str
) -> None:
    """Write a PNG at twice the size on the screen. Raises UserError where that is not possible."""
    lines = sum(1 + len(group.rows) for group in groups)
    height = 2 * MARGIN + TITLE_HEIGHT + LEGEND_HEIGHT + HEAD_HEIGHT + ROW_HEIGHT * lines + 24
    image = QImage(QSize(WIDTH, height) * _PIXELS, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(_PIXELS)
    image.fill(theme.current().color("surface"))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _paint_title(painter, title, subtitle)
    top = MARGIN + TITLE_HEIGHT
    legend = Legend()
    legend.resize(WIDTH - 2 * MARGIN, LEGEND_HEIGHT - 6)
    painter.save()
    legend.render(painter, QPoint(MARGIN, top), renderFlags=legend.RenderFlag.DrawChildren)
    painter.restore()
    top += LEGEND_HEIGHT
    for column, cell in _cells(top, HEAD_HEIGHT).items():
        paint_head(painter, cell, column, scale)
    top += HEAD_HEIGHT
    for group in groups:
        paint_group(painter, QRectF(MARGIN, top, WIDTH - 2 * MARGIN, ROW_HEIGHT), TITLES[group.id], True, False)
        top += ROW_HEIGHT
        for row in group.rows:
            marks = Marks(is_best=row.scheme_id == best, in_recipe=row.scheme_id == in_recipe)
            paint_row(painter, _cells(top, ROW_HEIGHT), row, scale, marks)
            top += ROW_HEIGHT
    painter.setPen(theme.current().color("muted"))
    painter.setFont(theme.font(theme.SMALL))
    painter.drawText(QRectF(MARGIN, top + 6, WIDTH - 2 * MARGIN, 18), Qt.AlignmentFlag.AlignLeft, _FOOTER)
    painter.end()
    if not image.save(str(path), "PNG"):  # type: ignore[call-overload]
        raise UserError(
            "The picture could not be saved.", hint="Choose another folder or make room on the disk.", details=str(path)
        )


def _paint_title(painter: QPainter, title: str, subtitle: str) -> None:
    colors = theme.current()
    painter.setPen(colors.color("text"))
    painter.setFont(theme.font(theme.TITLE, QFont.Weight.DemiBold))
    painter.drawText(QRectF(MARGIN, MARGIN, WIDTH - 2 * MARGIN, 26), Qt.AlignmentFlag.AlignVCenter, title)
    painter.setPen(colors.color("muted"))
    painter.setFont(theme.font())
    painter.drawText(QRectF(MARGIN, MARGIN + 26, WIDTH - 2 * MARGIN, 20), Qt.AlignmentFlag.AlignVCenter, subtitle)


def _cells(top: float, height: float) -> dict[int, QRectF]:
    """The cells of a line of the picture; bars take what the other columns leave."""
    rest = WIDTH - 2 * MARGIN - sum(WIDTHS.values())
    cells, left = {}, float(MARGIN)
    for column in range(len(COLUMNS)):
        width = rest if column == MEMORY else WIDTHS[column]
        cells[column] = QRectF(left, top, width, height)
        left += width
    return cells
