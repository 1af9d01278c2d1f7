"""Icons drawn as lines in SVG; they take the colour of the palette, and change with it."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QApplication, QPushButton

from quantgui.gui import theme
from quantgui.resource_files import resource

_PROPERTY = "icon_name"
BESIDE_TEXT, GAP = 16, 4
"""Size of an icon on a button with text, and the air between the two, in device-independent pixels."""
_SCALE = 3  # pixels per device-independent pixel: sharp up to 300 % scaling


@cache
def _source(name: str) -> str:
    return resource("icons", f"{name}.svg").read_text(encoding="utf-8")


def pixmap(name: str, size: int = 18, color: str = "") -> QPixmap:
    """The icon as a picture of `size` device-independent pixels, in the text colour unless `color` says otherwise."""
    return _pixmap(name, size, color or theme.current().text)


@cache
def _pixmap(name: str, size: int, color: str) -> QPixmap:
    picture = QPixmap(QSize(size, size) * _SCALE)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    svg = _source(name).replace("currentColor", color)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(picture.rect()))
    painter.end()
    picture.setDevicePixelRatio(_SCALE)
    return picture


def paint(painter: QPainter, name: str, rect: QRectF, color: str = "") -> None:
    """Draw the icon into `rect`."""
    painter.drawPixmap(rect.topLeft(), pixmap(name, round(rect.height()), color))


def icon(name: str, size: int = 18) -> QIcon:
    """The icon in the palette's text colour, dimmed when disabled, in the accent colour when checked."""
    colors = theme.current()
    made = QIcon(pixmap(name, size))
    made.addPixmap(pixmap(name, size, colors.accent), QIcon.Mode.Normal, QIcon.State.On)
    made.addPixmap(pixmap(name, size, colors.border), QIcon.Mode.Disabled)
    return made


def set_icon(button: QAbstractButton, name: str) -> None:
    """Give the button an icon that follows the theme."""
    button.setProperty(_PROPERTY, name)
    button.setIcon(_for_button(button, name))


def recolor(app: QApplication) -> None:
    """Redraw every button's icon after the theme changed."""
    for widget in app.allWidgets():
        name = widget.property(_PROPERTY)
        if name and isinstance(widget, QAbstractButton):
            widget.setIcon(_for_button(widget, name))


def _for_button(button: QAbstractButton, name: str) -> QIcon:
    if not isinstance(button, QPushButton):
        return icon(name)
    colors = theme.current()
    is_primary = bool(button.property("primary"))
    made = QIcon(_before_text(name, colors.on_accent if is_primary else colors.text))
    made.addPixmap(_before_text(name, colors.muted if is_primary else colors.border), QIcon.Mode.Disabled)
    return made


@cache
def _before_text(name: str, color: str) -> QPixmap:
    """The icon with some air at its right: the style puts the text too close to it."""
    picture = QPixmap(QSize(BESIDE_TEXT + GAP, BESIDE_TEXT) * _SCALE)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.drawPixmap(QRect(0, 0, BESIDE_TEXT * _SCALE, BESIDE_TEXT * _SCALE), pixmap(name, BESIDE_TEXT, color))
    painter.end()
    picture.setDevicePixelRatio(_SCALE)
    return picture
