"""Which tensor stands in which cell of the layer x module map. Grows with a run; no Qt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from quantgui.module_order import place
from quantgui.types import TensorReport

_EXPERT_NUMBER = re.compile(r"\bexpert \d+\b")
SMALLEST_SPAN = 6.0
"""Decibels between the ends of the colour scale at least: a factor of two in the error. Less must not look large."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The worst tensor of one module in one layer; the experts of a layer share a cell."""

    layer: int
    module: str
    report: TensorReport
    tensors: int = 1

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise in dB; None where the tensor was kept or is exact."""
        return self.report.error.sqnr_db if self.report.error is not None else None

    @property
    def is_kept(self) -> bool:
        """Whether the tensor was copied as it was."""
        return self.report.scheme_id is None


class LayerGrid:
    """Cells by (layer, module). Window and report both draw it, so that a colour means the same in both."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, str], Cell] = {}
        self._modules: set[str] = set()
        self._layers: set[int] = set()

    @property
    def modules(self) -> list[str]:
        """Rows of the map, in the order of the flow through a layer."""
        return sorted(self._modules, key=place)

    @property
    def layers(self) -> list[int]:
        """Columns of the map."""
        return sorted(self._layers)

    def add(self, reports: Iterable[TensorReport]) -> None:
        """Put matrices of layers into their cells; vectors and what lies outside the layers have none."""
        for report in reports:
            if report.layer is None or len(report.shape) < 2:
                continue
            module = _EXPERT_NUMBER.sub("experts", report.module or report.name)
            self._modules.add(module)
            self._layers.add(report.layer)
            key = (report.layer, module)
            self.cells[key] = _worse(self.cells.get(key), Cell(report.layer, module, report))

    def values(self) -> list[float]:
        """All finite SQNRs, in dB."""
        return [cell.sqnr_db for cell in self.cells.values() if cell.sqnr_db is not None]

    def span(self) -> tuple[float, float]:
        """Ends of the colour scale in dB: the best tensor is the brightest."""
        values = self.values() or [0.0]
        return min(max(values) - SMALLEST_SPAN, *values), max(values)

    def worst(self) -> Cell | None:
        """The cell with the lowest SQNR."""
        rated = [cell for cell in self.cells.values() if cell.sqnr_db is not None]
        return min(rated, key=lambda cell: cell.sqnr_db or 0.0, default=None)

    def median(self) -> float | None:
        """Median SQNR in dB: what a tensor is to be compared with, since no value is good or bad by itself."""
        values = self.values()
        return median(values) if values else None


def _worse(known: Cell | None, new: Cell) -> Cell:
    if known is None:
        return new
    ratings = [float("inf") if cell.sqnr_db is None else cell.sqnr_db for cell in (known, new)]
    worse = known if ratings[0] <= ratings[1] else new
    return Cell(worse.layer, worse.module, worse.report, known.tensors + 1)
