"""The fit table as Qt's tree views want it: groups at the top, their precisions below, a last line that unfolds."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QSize, Qt

from quantgui.gui import glossary
from quantgui.gui.fit.columns import COLUMNS, MEMORY
from quantgui.gui.fit.groups import GGUF, TITLES, Group
from quantgui.gui.fit.words import total_in_words
from quantgui.types import MemoryEstimate

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 28
_TOP = 0  # internal id of groups; lines below them carry 1 + the number of their group


class Line(Enum):
    """What a line of the table is, where it is not a precision."""

    GROUP = "group"
    FOLD = "fold"


class TableModel(QAbstractItemModel):
    """Holds the groups; nothing is copied out of them."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: Sequence[Group] = ()

    def set_groups(self, groups: Sequence[Group]) -> bool:
        """Show these. Returns whether lines came, went or moved; else selection and scroll position stay."""
        if _lines(groups) == _lines(self.groups):
            self.groups = groups
            for number in range(len(groups)):
                parent = self.index(number, 0)
                last = self.rowCount(parent) - 1
                self.dataChanged.emit(self.index(0, 0, parent), self.index(last, len(COLUMNS) - 1, parent))
            return False
        self.beginResetModel()
        self.groups = groups
        self.endResetModel()
        return True

    def line(self, index: Index) -> MemoryEstimate | Line | None:
        """What stands on the line of `index`."""
        if not index.isValid():
            return None
        if index.internalId() == _TOP:
            return Line.GROUP
        rows = self.group(index).rows
        return rows[index.row()] if index.row() < len(rows) else Line.FOLD

    def group(self, index: Index) -> Group:
        """The group that a valid `index` is or belongs to."""
        return self.groups[index.row() if index.internalId() == _TOP else index.internalId() - 1]

    def index_of(self, scheme_id: str) -> QModelIndex:
        """The line of a precision; an invalid index where it is not shown."""
        for number, group in enumerate(self.groups):
            for row, estimate in enumerate(group.rows):
                if estimate.scheme_id == scheme_id:
                    return self.index(row, 0, self.index(number, 0))
        return QModelIndex()

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        """Index of a group or of a line below one."""
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else _TOP)

    def parent(self, index: Index) -> QModelIndex:  # type: ignore[override]
        """The group of a line; groups have none."""
        if not index.isValid() or index.internalId() == _TOP:
            return QModelIndex()
        return self.createIndex(index.internalId() - 1, 0, _TOP)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Groups, or lines of a group; a line has none below it."""
        if not parent.isValid():
            return len(self.groups)
        if parent.internalId() != _TOP or parent.column() != 0:
            return 0
        group = self.groups[parent.row()]
        return len(group.rows) + _has_fold(group)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, tooltip and size of a cell."""
        if role == Qt.ItemDataRole.SizeHintRole:
            return QSize(40, ROW_HEIGHT)
        line = self.line(index)
        if isinstance(line, MemoryEstimate):
            column = COLUMNS[index.column()]
            if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
                return column.text(line)
            return column.tip(line) if role == Qt.ItemDataRole.ToolTipRole and column.tip else None
        if line is Line.GROUP and role == Qt.ItemDataRole.ToolTipRole:
            return glossary.explain(self.group(index).id)
        if index.column() == 0 and role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            group = self.group(index)
            return TITLES[group.id] if line is Line.GROUP else fold_words(group)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles, explained on hover."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        return glossary.explain(column.word or column.title) if role == Qt.ItemDataRole.ToolTipRole else None

    def accessible_description(self, index: Index) -> str:
        """A line in words, as a screen reader says it."""
        line = self.line(index)
        if not isinstance(line, MemoryEstimate):
            return str(self.data(index.sibling(index.row(), 0)) or "") if index.isValid() else ""
        cells = [
            total_in_words(line) if number == MEMORY else f"{column.title} {column.text(line)}"
            for number, column in enumerate(COLUMNS)
        ]
        return ", ".join(cells)


def fold_words(group: Group) -> str:
    """ "Show all 35 GGUF types", or how to fold them again."""
    noun = "GGUF types" if group.id == GGUF else "precisions"
    return f"Show fewer {noun}" if group.is_unfolded else f"Show all {group.total} {noun}"


def _has_fold(group: Group) -> bool:
    return group.is_unfolded or group.folded > 0


def _lines(groups: Sequence[Group]) -> list[tuple[str, int, bool, tuple[str, ...]]]:
    return [(g.id, g.folded, g.is_unfolded, tuple(row.scheme_id for row in g.rows)) for g in groups]
