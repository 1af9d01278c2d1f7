"""The table of all tensors: one row per report, sorted and filtered here so that thousands of rows stay quick."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from quantgui import units
from quantgui.gui import glossary
from quantgui.gui.plots.table_data import Cell, TableData
from quantgui.jobs.report_log import ReportLog
from quantgui.module_order import place_of
from quantgui.types import Role, TensorReport

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Column:
    """One column: title (with the unit for exports), raw value, and how a person reads it."""

    title: str
    value: Callable[[TensorReport], Cell]
    words: Callable[[TensorReport], str]
    unit: str = ""
    is_text: bool = False
    word: str = ""  # the glossary's entry where it is not the title


def _of_error(name: str) -> Callable[[TensorReport], float | None]:
    return lambda report: getattr(report.error, name) if report.error is not None else None


def _sqnr(report: TensorReport) -> float | None:
    if report.error is None:
        return None
    return float("inf") if report.error.mse == 0 else report.error.sqnr_db


def _sqnr_words(report: TensorReport) -> str:
    value = _sqnr(report)
    return "exact" if value == float("inf") else units.decibels(value)


def _scheme(report: TensorReport) -> str:
    return report.scheme_id or "kept"


def _number(name: str, words: Callable[[float | None], str]) -> Callable[[TensorReport], str]:
    value = _of_error(name)
    return lambda report: words(value(report))


def _cosine(value: float | None) -> str:
    return "–" if value is None else f"{value:.5f}"


COLUMNS = (
    Column("Tensor", lambda r: r.name, lambda r: r.short_name, is_text=True),
    Column("Scheme", _scheme, _scheme, is_text=True),
    Column("SQNR", _sqnr, _sqnr_words, "dB"),
    Column("Output error", lambda r: r.output_error, lambda r: units.percent(r.output_error), "fraction"),
    Column(
        "If rounded",
        lambda r: r.output_error_rounded,
        lambda r: units.percent(r.output_error_rounded),
        "fraction",
        word="Output error",
    ),
    Column("Max error", _of_error("max_abs"), _number("max_abs", units.scientific), word="Max abs error"),
    Column("Bits", lambda r: r.bits, lambda r: f"{r.bits:.2f}", "per weight", word="Bits per weight"),
    Column("After", lambda r: r.bytes_after, lambda r: units.file_size(r.bytes_after), "bytes"),
    Column("Before", lambda r: r.bytes_before, lambda r: units.file_size(r.bytes_before), "bytes"),
    Column("Shape", lambda r: " x ".join(map(str, r.shape)), lambda r: units.shape(r.shape), is_text=True),
    Column("Cosine", _of_error("cosine"), _number("cosine", _cosine)),
    Column("MSE", _of_error("mse"), _number("mse", units.scientific)),
    Column("Clipped", _of_error("clipped"), _number("clipped", units.percent), "fraction"),
    Column("To zero", _of_error("zeroed"), _number("zeroed", units.percent), "fraction", word="Rounded to zero"),
)


OF_A_CALIBRATION = ("Output error", "If rounded")
"""Columns that only calibrated methods fill: the layer's error on the calibration text after and before the search."""


class TensorTable(QAbstractTableModel):
    """Rows follow a ReportLog. Growing inserts rows; only another run, a filter or a sort order moves them."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._reports = ReportLog()
        self._rows: list[TensorReport] = []
        self._text = ""
        self._role: Role | None = None
        self._sort: tuple[int, Qt.SortOrder] | None = None

    def show(self, reports: ReportLog) -> None:
        """Follow this log: append what is new, or start over with another run."""
        if reports is self._reports:
            return
        if reports.extends(self._reports):
            new = [report for report in reports.since(len(self._reports)) if self._passes(report)]
            self._reports = reports
            self._append(new)
        else:
            self._reports = reports
            self._start_over()

    def set_filter(self, text: str = "", role: Role | None = None) -> None:
        """Show only tensors whose name, module or scheme contains every word of `text`, and whose role is `role`."""
        if (text.lower(), role) != (self._text, self._role):
            self._text, self._role = text.lower(), role
            self._start_over()

    def report_at(self, row: int) -> TensorReport:
        """The report of a row."""
        return self._rows[row]

    def row_of(self, name: str | None) -> int | None:
        """The row of a tensor, None where it is not shown."""
        return next((row for row, report in enumerate(self._rows) if report.name == name), None)

    def table(self) -> TableData:
        """What is shown, in this order, with raw values."""
        titles = tuple(f"{c.title} ({c.unit})" if c.unit else c.title for c in COLUMNS)
        return TableData(titles, [[_exported(column.value(report)) for column in COLUMNS] for report in self._rows])

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by raw values; rows without a value stay at the end. A column of -1 restores the order of arrival."""
        self._sort = (column, order) if column >= 0 else None
        self._rearrange()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Tensors shown."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Columns shown."""
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell: words to read, the raw value on hover."""
        report, column = self._rows[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.words(report)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(report, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if column.is_text else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles; what they mean on hover."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return glossary.explain(column.word or column.title)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if column.is_text else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def _passes(self, report: TensorReport) -> bool:
        if self._role is not None and report.role is not self._role:
            return False
        if not self._text:
            return True
        haystack = f"{report.name} {report.short_name} {_scheme(report)}".lower()
        return all(word in haystack for word in self._text.split())

    def _append(self, new: list[TensorReport]) -> None:
        if not new:
            return
        first = len(self._rows)
        self.beginInsertRows(QModelIndex(), first, first + len(new) - 1)
        self._rows.extend(new)
        self.endInsertRows()
        if self._sort is not None:
            self._rearrange()

    def _start_over(self) -> None:
        self.beginResetModel()
        self._rows = self._ordered(report for report in self._reports.since(0) if self._passes(report))
        self.endResetModel()

    def _rearrange(self) -> None:
        """Sort the rows and carry selections along with their tensors."""
        self.layoutAboutToBeChanged.emit()
        held = [(index, self._rows[index.row()].name) for index in self.persistentIndexList()]
        order = {report.name: position for position, report in enumerate(self._reports.since(0))}
        self._rows = self._ordered(sorted(self._rows, key=lambda report: order[report.name]))
        rows = {report.name: row for row, report in enumerate(self._rows)} if held else {}
        for index, name in held:
            self.changePersistentIndex(index, self.index(rows[name], index.column()))
        self.layoutChanged.emit()

    def _ordered(self, rows: Iterable[TensorReport]) -> list[TensorReport]:
        listed = list(rows)
        if self._sort is None:
            return listed
        value, descending = COLUMNS[self._sort[0]].value, self._sort[1] is Qt.SortOrder.DescendingOrder
        with_value = [report for report in listed if value(report) is not None]
        without = [report for report in listed if value(report) is None]
        by_place = COLUMNS[self._sort[0]] is COLUMNS[0]
        if by_place:
            return sorted(with_value, key=place_of, reverse=descending)
        return sorted(with_value, key=lambda report: _key(value(report)), reverse=descending) + without


def _key(value: Cell) -> tuple[int | str, ...] | float:
    """Texts sort with their numbers as numbers: 512 x 64 before 4096 x 64."""
    if isinstance(value, str):
        return tuple(part.zfill(12) if part.isdigit() else part for part in value.split())
    return value if value is not None else 0.0


def _exported(value: Cell) -> Cell:
    return "exact" if value == float("inf") else value


def _tip(report: TensorReport, column: Column) -> str:
    if column is COLUMNS[0]:
        return f"{report.name}\n{report.why_kept}".strip()
    if column.title == "Scheme" and report.why_kept:
        return report.why_kept
    value = column.value(report)
    return "" if value is None else f"{_exported(value)} {column.unit}".strip()
