"""A canvas as a picture file. SVG goes through QSvgGenerator: pyqtgraph's own exporter crashes with PySide6 6.11."""

from __future__ import annotations

from pathlib import Path

import pyqtgraph as pg
from PySide6.QtCore import QBuffer, QIODevice, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from quantgui.gui import theme
from quantgui.gui.saving import save_file

_HEAD = 44
_MARGIN = 12
_PNG_SCALE = 2


def save_png(canvas: QWidget, path: Path, title: str, caption: str) -> None:
    """Write the canvas below its title, at twice the size on the screen. Raises UserError."""
    size = _size(canvas)
    image = QImage(size * _PNG_SCALE, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(_PNG_SCALE)
    _paint(image, canvas, title, caption)
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    save_file(path, bytes(buffer.data().data()), "The picture")


def save_svg(canvas: QWidget, path: Path, title: str, caption: str) -> None:
    """Write the canvas below its title as lines and letters. Raises UserError."""
    buffer = QBuffer()
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(_size(canvas))
    generator.setViewBox(QRect(QPoint(0, 0), _size(canvas)))
    generator.setTitle(title)
    generator.setDescription(caption)
    _paint(generator, canvas, title, caption)
    save_file(path, bytes(buffer.data().data()), "The picture")


def _size(canvas: QWidget) -> QSize:
    return canvas.size() + QSize(2 * _MARGIN, _HEAD + _MARGIN)


def _paint(device: QImage | QSvgGenerator, canvas: QWidget, title: str, caption: str) -> None:
    colors = theme.current()
    size = _size(canvas)
    area = QRectF(_MARGIN, _HEAD, canvas.width(), canvas.height())
    painter = QPainter(device)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.fillRect(QRect(QPoint(0, 0), size), colors.color("surface"))
    painter.setPen(colors.color("text"))
    painter.setFont(theme.font(weight=QFont.Weight.DemiBold))
    painter.drawText(QRectF(_MARGIN, 8, area.width(), 18), Qt.AlignmentFlag.AlignVCenter, title)
    painter.setPen(colors.color("muted"))
    painter.setFont(theme.font(theme.SMALL))
    painter.drawText(QRectF(_MARGIN, 25, area.width(), 16), Qt.AlignmentFlag.AlignVCenter, caption)
    if isinstance(canvas, pg.PlotWidget):
        scene = canvas.scene()
        assert isinstance(scene, pg.GraphicsScene)
        scene.prepareForPaint()  # what a paint on the screen would bring up to date first
        canvas.render(painter, area, canvas.viewport().rect())
    else:
        painter.translate(area.topLeft())
        canvas.render(painter, QPoint(0, 0))
    painter.end()
