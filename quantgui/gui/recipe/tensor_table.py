"""Every tensor with what the recipe will make of it: sortable, filterable, and any of them can be overridden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QIcon, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from quantgui import units
from quantgui.gui import icons, theme
from quantgui.gui.recipe.plan import PlannedTensor
from quantgui.module_order import place_of
from quantgui.report.findings import describe_scheme

SORT_ROLE = Qt.ItemDataRole.UserRole
SEARCH_ROLE = Qt.ItemDataRole.UserRole + 1
ROW_HEIGHT = 28
ROOM_FOR_BITS = 570
ROOM_FOR_REASON = 100
LEAST_SHAPE, MOST_SHAPE = 104, 170
"""A matrix as wide as most, and a stack of experts ("256 × 14336 × 5120")."""
SHAPE_MARGIN = 22
SHAPE, BITS = 1, 3


@dataclass(frozen=True)
class Column:
    """A heading, the text below it, what it is sorted by, and its width in pixels (0: what is left)."""

    title: str
    text: Callable[[PlannedTensor], str]
    key: Callable[[PlannedTensor], Any]
    width: int = 0
    number: bool = False


def _scheme(planned: PlannedTensor) -> str:
    return planned.assignment.scheme.id if planned.assignment.scheme else "kept"


COLUMNS = (
    Column("Tensor", lambda p: p.assignment.tensor.short_name, lambda p: place_of(p.assignment.tensor), 168),
    Column(
        "Shape",
        lambda p: units.shape(p.assignment.tensor.shape),
        lambda p: p.assignment.tensor.numel,
        LEAST_SHAPE,
        number=True,
    ),
    Column("Precision", _scheme, _scheme, 96),
    Column("Bits/weight", lambda p: f"{p.bits:.2f}", lambda p: p.bits, 92, number=True),
    Column(
        "Size after", lambda p: units.file_size(p.assignment.nbytes), lambda p: p.assignment.nbytes, 80, number=True
    ),
    Column("Why kept", lambda p: p.reason_in_brief, lambda p: p.reason),
)

_Index = QModelIndex | QPersistentModelIndex


class TensorModel(QAbstractTableModel):
    """The planned tensors as rows."""

    def __init__(self) -> None:
        super().__init__()
        self._tensors: tuple[PlannedTensor, ...] = ()

    def set_tensors(self, tensors: tuple[PlannedTensor, ...]) -> None:
        """Show these; rows that stay the same tensors keep their selection."""
        same = [p.assignment.tensor for p in tensors] == [p.assignment.tensor for p in self._tensors]
        if not same:
            self.beginResetModel()
        self._tensors = tensors
        if same and tensors:
            self.dataChanged.emit(self.index(0, 0), self.index(len(tensors) - 1, len(COLUMNS) - 1))
        elif not same:
            self.endResetModel()

    def shapes(self) -> set[str]:
        """The different shapes, in words."""
        return {units.shape(shape) for shape in {p.assignment.tensor.shape for p in self._tensors}}

    def planned(self, row: int) -> PlannedTensor:
        """The tensor of a row."""
        return self._tensors[row]

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """One row per tensor."""
        return 0 if parent.isValid() else len(self._tensors)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """One column per entry of COLUMNS."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The columns' titles, numbers at the right."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section].title
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(COLUMNS[section])
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, sort key, tooltip, colour and the warning sign."""
        planned, column = self._tensors[index.row()], COLUMNS[index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return column.text(planned)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
            case Qt.ItemDataRole.ToolTipRole:
                return _tip(planned)
            case Qt.ItemDataRole.ForegroundRole:
                return _color(planned, column)
            case Qt.ItemDataRole.DecorationRole if planned.is_problem and column is COLUMNS[-1]:
                return QIcon(icons.pixmap("tight", 16, theme.current().tight))
            case _ if role == SORT_ROLE:
                return column.key(planned)
            case _ if role == SEARCH_ROLE:
                return f"{planned.assignment.tensor.name} {planned.assignment.tensor.short_name} {_scheme(planned)}"
        return None


class TensorFilter(QSortFilterProxyModel):
    """Sorts by the columns' keys; shows the rows whose name or precision contains the text."""

    def __init__(self, model: TensorModel) -> None:
        super().__init__()
        self.setSourceModel(model)
        self.setSortRole(SORT_ROLE)
        self.setFilterRole(SEARCH_ROLE)
        self.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._model = model

    def lessThan(self, source_left: _Index, source_right: _Index) -> bool:
        """Python's order of the keys, which Qt cannot compare."""
        key = COLUMNS[source_left.column()].key
        return key(self._model.planned(source_left.row())) < key(self._model.planned(source_right.row()))


class TensorTable(QTableView):
    """The view with its columns' widths; `selected_names` are what an override is about."""

    def __init__(self, model: TensorModel) -> None:
        super().__init__()
        self._model = model
        self.filter = TensorFilter(model)
        self.setModel(self.filter)
        self.setAccessibleName("Tensors and their precision")
        self.setProperty("frameless", True)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setStretchLastSection(True)
        for index, column in enumerate(COLUMNS):
            if column.width:
                self.setColumnWidth(index, column.width)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        model.modelReset.connect(self._fit_shapes)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """What becomes of a tensor comes before its shape and bits, where there is no room for all."""
        super().resizeEvent(event)
        self._show_what_fits()

    def _fit_shapes(self) -> None:
        """The widest shape decides: those of stacked experts have three numbers."""
        metrics = self.fontMetrics()
        widest = max(map(metrics.horizontalAdvance, self._model.shapes()), default=0)
        self.setColumnWidth(SHAPE, min(max(widest + SHAPE_MARGIN, LEAST_SHAPE), MOST_SHAPE))
        self._show_what_fits()

    def _show_what_fits(self) -> None:
        room = self.viewport().width()
        needed = sum(self.columnWidth(i) if i == SHAPE else column.width for i, column in enumerate(COLUMNS))
        self.setColumnHidden(SHAPE, room < needed + ROOM_FOR_REASON)
        self.setColumnHidden(BITS, room < ROOM_FOR_BITS)

    def selected_names(self) -> list[str]:
        """Full names of the selected tensors, in the order of the rows."""
        rows = [self.filter.mapToSource(index).row() for index in self.selectionModel().selectedRows()]
        return [self._model.planned(row).assignment.tensor.name for row in sorted(rows)]


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column.number else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _tip(planned: PlannedTensor) -> str:
    tensor, scheme = planned.assignment.tensor, planned.assignment.scheme
    becomes = describe_scheme(scheme) if scheme else planned.assignment.why
    sizes = f"{units.count(tensor.nbytes)} bytes become {units.count(planned.assignment.nbytes)}"
    return f"{tensor.name}\n{tensor.dtype}, {units.shape(tensor.shape)}; {sizes}\n{becomes}"


def _color(planned: PlannedTensor, column: Column) -> Any:
    colors = theme.current()
    if planned.is_problem and column is COLUMNS[-1]:
        return colors.color("tight")
    is_quiet = planned.assignment.scheme is None
    return colors.color("muted") if is_quiet else None
