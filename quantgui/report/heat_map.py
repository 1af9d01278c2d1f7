"""Layer x module map of SQNR: where in the model the error sits, at one glance."""

from __future__ import annotations

from collections.abc import Iterable

from quantgui import units
from quantgui.report import svg
from quantgui.report.colors import cividis, hex_color, text_on
from quantgui.report.findings import measured
from quantgui.report.layer_grid import Cell, LayerGrid
from quantgui.report.markup import Html, escape, join, tag, visible
from quantgui.types import TensorReport

WIDTH = 960
LABELS = 150  # space for the modules' names
ROW = 26
LABELLED_CELL = 30  # narrowest cell that holds a number


def heat_map(reports: Iterable[TensorReport]) -> Html | None:
    """The figure, None where no tensor inside a layer has a finite error."""
    grid = LayerGrid()
    grid.add(measured(reports))
    if not grid.cells:
        return None
    modules, layers = grid.modules, grid.layers
    low, high = grid.span()
    column = (WIDTH - LABELS) / len(layers)
    drawn = [(cell, cell.sqnr_db) for cell in grid.cells.values() if cell.sqnr_db is not None]
    shapes = [
        _cell(cell, sqnr, layers.index(cell.layer), modules.index(cell.module), column, low, high)
        for cell, sqnr in drawn
    ]
    names = [
        svg.text(LABELS - 8, row * ROW + 17, visible(name)[:24], text_anchor="end", class_="axis")
        for row, name in enumerate(modules)
    ]
    bottom = len(modules) * ROW
    label = f"SQNR of {len(modules)} modules in {len(layers)} layers, {low:.1f} to {high:.1f} dB"
    return svg.figure(
        WIDTH, bottom + 46, label, *names, *shapes, _layer_axis(layers, column, bottom), _scale(low, high, bottom + 32)
    )


def _cell(
    cell: Cell, sqnr_db: float, column_index: int, row_index: int, column: float, low: float, high: float
) -> Html:
    color = cividis((sqnr_db - low) / (high - low))
    x, y = LABELS + column_index * column, row_index * ROW
    tip = tag("title", f"{cell.report.name}: {units.decibels(sqnr_db)}")
    box = svg.rect(x, y, max(column - 1, 0.5), ROW - 1, tip, fill=hex_color(color))
    if column < LABELLED_CELL:
        return box
    middle = x + (column - 1) / 2
    return join(
        box, svg.text(middle, y + 17, f"{sqnr_db:.1f}", text_anchor="middle", fill=text_on(color), class_="value")
    )


def _layer_axis(layers: list[int], column: float, bottom: float) -> Html:
    every = max(1, round(28 / column + 0.5))
    numbers = [
        svg.text(LABELS + (index + 0.5) * column, bottom + 14, layer, text_anchor="middle", class_="axis")
        for index, layer in enumerate(layers)
        if index % every == 0
    ]
    return join(*numbers, svg.text(LABELS - 8, bottom + 14, "layer", text_anchor="end", class_="axis"))


def _scale(low: float, high: float, top: float) -> Html:
    width, steps = 160, 40
    blocks = [
        svg.rect(
            LABELS + 60 + i * width / steps, top, width / steps + 0.5, 10, fill=hex_color(cividis(i / (steps - 1)))
        )
        for i in range(steps)
    ]
    return join(
        svg.text(LABELS + 54, top + 9, f"{low:.1f}", text_anchor="end", class_="axis"),
        *blocks,
        svg.text(LABELS + 66 + width, top + 9, escape(f"{high:.1f} dB SQNR, higher is better"), class_="axis"),
    )
