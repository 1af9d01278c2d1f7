"""A plot's table twin: the numbers behind the picture, for people, spreadsheets and screen readers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float | None


@dataclass(frozen=True)
class TableData:
    """Column titles with their units, and rows of raw values; None is an empty cell."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]

    def to_csv(self) -> str:
        """Comma-separated text with a header line; floats in full precision."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_guarded(cell) for cell in row] for row in self.rows)
        return text.getvalue()


def _guarded(cell: Cell) -> Cell:
    """A text that a spreadsheet would run as a formula is quoted: tensor names come from files of strangers."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell
