"""Paints one line of the fit table into the rectangles of its columns: for the window, and for a picture of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QPainter, QPen

from quantgui.gui import formatting, icons, theme
from quantgui.gui.fit import words
from quantgui.gui.fit.columns import COLUMNS, CONTEXT, MEMORY, NAME, QUALITY, SPEED, VERDICT
from quantgui.gui.fit.scale import Scale
from quantgui.gui.widgets.verdict_badge import paint_badge
from quantgui.types import MemoryEstimate

PAD = 8
LABEL_ROOM = 66
BAR_HEIGHT = 14
_WHISKER = 3.5
Rects = Mapping[int, QRectF]
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True, slots=True)
class Marks:
    """What a row is besides its numbers."""

    is_picked: bool = False
    is_hovered: bool = False
    has_focus: bool = False
    is_best: bool = False
    in_recipe: bool = False


def bar_x(nbytes: float, scale: Scale, cell: QRectF) -> float:
    """Where `nbytes` lies in a cell of the memory column."""
    return cell.left() + PAD + nbytes / scale.end * max(1.0, cell.width() - 2 * PAD - LABEL_ROOM)


def paint_row(painter: QPainter, rects: Rects, estimate: MemoryEstimate, scale: Scale, marks: Marks) -> None:
    """A precision: name, bar, verdict and numbers. A column that is not in `rects` is not painted."""
    colors = theme.current()
    whole = _united(rects)
    if marks.is_picked or marks.is_hovered:
        _background(painter, whole, "accent_soft" if marks.is_picked else "raised", marks.has_focus)
    _paint_name(painter, rects[NAME], estimate, marks)
    _paint_limits(painter, rects[MEMORY], scale)
    _paint_bar(painter, rects[MEMORY], estimate, scale)
    painter.setPen(_pen(colors.text))
    painter.setFont(_font())
    painter.drawText(rects[MEMORY].adjusted(0, 0, -PAD, 0), _RIGHT, formatting.memory(estimate.total_bytes))
    for column in (CONTEXT, SPEED, QUALITY):
        if column in rects:
            side = _RIGHT if COLUMNS[column].right else _LEFT
            cell = rects[column].adjusted(PAD, 0, -PAD, 0)
            text = COLUMNS[column].text(estimate)
            painter.setPen(_pen(colors.text if text not in ("–", "not known") else colors.muted))
            painter.drawText(cell, side, _shortened(painter, text, cell.width()) if column == QUALITY else text)
    if VERDICT in rects:
        cell = rects[VERDICT]
        paint_badge(painter, round(cell.left() + PAD), round(cell.center().y()), estimate.verdict)


def paint_group(painter: QPainter, whole: QRectF, words_: str, is_open: bool, has_focus: bool) -> None:
    """The heading of a group with the arrow that folds it."""
    colors = theme.current()
    if has_focus:
        _background(painter, whole, "raised", True)
    middle = whole.center().y()
    arrow = QRectF(whole.left() + 4, middle - 7, 14, 14)
    icons.paint(painter, "chevron-down" if is_open else "chevron-right", arrow, colors.muted)
    painter.setPen(_pen(colors.muted))
    painter.setFont(theme.font(12, QFont.Weight.DemiBold))
    painter.drawText(whole.adjusted(22, 0, 0, 0), _LEFT, words_)


def paint_fold(painter: QPainter, whole: QRectF, words_: str, is_hovered: bool, has_focus: bool) -> None:
    """The line that shows the rest of a group."""
    if has_focus:
        _background(painter, whole, "raised", True)
    font = theme.font()
    font.setUnderline(is_hovered)
    painter.setFont(font)
    painter.setPen(theme.current().color("accent"))
    painter.drawText(whole.adjusted(22, 0, 0, 0), _LEFT, words_)


def _paint_name(painter: QPainter, cell: QRectF, estimate: MemoryEstimate, marks: Marks) -> None:
    colors = theme.current()
    middle = cell.center().y()
    if marks.is_best:
        icons.paint(painter, "star", QRectF(cell.left() + 4, middle - 7, 14, 14), colors.tight)
    painter.setPen(_pen(colors.text))
    painter.setFont(_font(QFont.Weight.DemiBold))
    room = cell.adjusted(22, 0, -22 if marks.in_recipe else 0, 0)
    painter.drawText(room, _LEFT, _shortened(painter, words.name_of(estimate.scheme_id), room.width()))
    if marks.in_recipe:
        icons.paint(painter, "check", QRectF(cell.right() - 20, middle - 7, 14, 14), colors.accent)


def _paint_limits(painter: QPainter, cell: QRectF, scale: Scale) -> None:
    colors = theme.current()
    painter.setPen(_pen(colors.grid))
    ticks = [round(bar_x(nbytes, scale, cell)) + 0.5 for nbytes, _ in scale.ticks]
    painter.drawLines([QLineF(x, cell.top(), x, cell.bottom()) for x in ticks])
    for number, limit in enumerate(scale.limits):
        if not limit.is_far:
            x = bar_x(limit.nbytes, scale, cell)
            style = Qt.PenStyle.DashLine if number else Qt.PenStyle.SolidLine
            painter.setPen(_pen(colors.text, 1.4, style))
            painter.drawLine(QLineF(x, cell.top(), x, cell.bottom()))


def _paint_bar(painter: QPainter, cell: QRectF, estimate: MemoryEstimate, scale: Scale) -> None:
    """The stacked parts; what lies beyond the first limit is hatched; the band is a whisker at the end."""
    colors = theme.current()
    top = cell.center().y() - BAR_HEIGHT / 2
    done, left, edge = 0, bar_x(0, scale, cell), bar_x(scale.end, scale, cell)
    for part in estimate.parts:
        if part.nbytes and left < edge:
            done += part.nbytes
            right = min(bar_x(done, scale, cell), edge)
            painter.fillRect(
                QRectF(left, top, max(1.5, right - left), BAR_HEIGHT), _color(getattr(colors, part.kind.value))
            )
            left = max(right, left + 1.5)
    limit = scale.limits[0]
    if done > limit.nbytes:
        hatch = QColor(colors.surface)
        hatch.setAlphaF(0.75)
        start = bar_x(limit.nbytes, scale, cell)
        painter.fillRect(QRectF(start, top, left - start, BAR_HEIGHT), QBrush(hatch, Qt.BrushStyle.BDiagPattern))
        painter.setPen(_pen(colors.text, 1.4))
        painter.drawLine(QLineF(start, cell.top(), start, cell.bottom()))
    if estimate.total_bytes > scale.end:
        _paint_break(painter, edge, top)
    else:
        _paint_band(painter, cell, estimate, scale)


def _paint_break(painter: QPainter, edge: float, top: float) -> None:
    """Two slanted gaps at the end of a bar that goes on beyond the axis."""
    painter.setPen(_pen(theme.current().surface, 2))
    for x in (edge - 10, edge - 5):
        painter.drawLine(QLineF(x, top + BAR_HEIGHT + 1, x + 5, top - 1))


def _paint_band(painter: QPainter, cell: QRectF, estimate: MemoryEstimate, scale: Scale) -> None:
    low, high = estimate.band
    first, last = bar_x(low, scale, cell), bar_x(min(high, scale.end), scale, cell)
    if last - first < 2:  # thinner than its own caps
        return
    middle = cell.center().y()
    painter.setPen(_pen(theme.current().text, 1.2))
    painter.drawLine(QLineF(first, middle, last, middle))
    for x in (first, last):
        painter.drawLine(QLineF(x, middle - _WHISKER, x, middle + _WHISKER))


def _background(painter: QPainter, whole: QRectF, color: str, has_focus: bool) -> None:
    colors = theme.current()
    painter.setPen(QPen(colors.color("accent"), 2) if has_focus else Qt.PenStyle.NoPen)
    painter.setBrush(colors.color(color))
    painter.drawRoundedRect(whole.adjusted(1, 1, -1, -1), 6, 6)
    painter.setBrush(Qt.BrushStyle.NoBrush)


@cache
def _pen(color: str, width: float = 1, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    """Made once per colour, as fonts are: a table paints hundreds of cells per frame."""
    return QPen(QColor(color), width, style)


@cache
def _color(color: str) -> QColor:
    return QColor(color)


@cache
def _font(weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """Made once: a font per cell takes longer than the cell's text."""
    return theme.font(weight=weight)


def _united(rects: Rects) -> QRectF:
    first, *others = rects.values()
    for rect in others:
        first = first.united(rect)
    return first


def _shortened(painter: QPainter, text: str, width: float) -> str:
    return painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(width))
