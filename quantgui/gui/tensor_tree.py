"""The tensors of a checkpoint as a tree: one branch per layer, one for what stands before and after the layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, Qt

from quantgui.gui import formatting
from quantgui.module_order import place_of
from quantgui.types import TensorInfo

Index = QModelIndex | QPersistentModelIndex
COLUMNS = ("Tensor", "Shape", "Type", "Parameters", "Size")
_NO_PARENT = QModelIndex()
_TOP = 0  # internal id of a branch; a leaf carries its branch's row + 1


@dataclass(frozen=True, slots=True)
class Branch:
    """Tensors that belong together."""

    title: str
    tensors: tuple[TensorInfo, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(t.nbytes for t in self.tensors)

    @property
    def numel(self) -> int:
        """Parameters of all of them."""
        return sum(t.numel for t in self.tensors)


def branches(tensors: Iterable[TensorInfo], query: str = "") -> tuple[Branch, ...]:
    """Tensors by layer in the order of the flow, only those whose long or short name has every word of `query`."""
    words = query.lower().split()
    groups: dict[int | None, list[TensorInfo]] = {None: []}
    for tensor in sorted(tensors, key=place_of):
        text = f"{tensor.name} {tensor.short_name}".lower()
        if all(word in text for word in words):
            groups.setdefault(tensor.layer, []).append(tensor)
    outside = groups.pop(None)
    made = [Branch("Outside the layers", tuple(outside))] if outside else []
    numbered = sorted((layer, tensors) for layer, tensors in groups.items() if layer is not None)
    return (*made, *(Branch(f"Layer {layer}", tuple(found)) for layer, found in numbered))


class TensorTree(QAbstractItemModel):
    """Two levels. Nothing is copied: 50,000 tensors cost a list of references."""

    def __init__(self) -> None:
        super().__init__()
        self._branches: tuple[Branch, ...] = ()

    def set_branches(self, found: tuple[Branch, ...]) -> None:
        """Show these."""
        self.beginResetModel()
        self._branches = found
        self.endResetModel()

    def tensor(self, index: Index) -> TensorInfo | None:
        """The tensor of a leaf, None for a branch."""
        if not index.isValid() or index.internalId() == _TOP:
            return None
        return self._branches[index.internalId() - 1].tensors[index.row()]

    def index(self, row: int, column: int, parent: Index = _NO_PARENT) -> QModelIndex:
        """The index of a cell."""
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else _TOP)

    def parent(self, index: Index = _NO_PARENT) -> QModelIndex:  # type: ignore[override]
        """The branch of a leaf."""
        if not index.isValid() or index.internalId() == _TOP:
            return QModelIndex()
        return self.createIndex(index.internalId() - 1, 0, _TOP)

    def rowCount(self, parent: Index = _NO_PARENT) -> int:
        """Branches at the top, tensors in a branch."""
        if not parent.isValid():
            return len(self._branches)
        if parent.internalId() == _TOP and parent.column() == 0:
            return len(self._branches[parent.row()].tensors)
        return 0

    def columnCount(self, parent: Index = _NO_PARENT) -> int:
        """The same everywhere."""
        return len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Short names and sizes; the full name as tooltip."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if index.column() >= 3 else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        tensor = self.tensor(index)
        if role == Qt.ItemDataRole.ToolTipRole and tensor is not None:
            return f"{tensor.name}\n{formatting.count(tensor.nbytes)} bytes {tensor.file and 'in ' + tensor.file}"
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if tensor is None:
            return _branch_cell(self._branches[index.row()], index.column())
        return _tensor_cell(tensor, index.column())

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section >= 3 else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return COLUMNS[section] if role == Qt.ItemDataRole.DisplayRole else None


def _branch_cell(branch: Branch, column: int) -> str:
    number = len(branch.tensors)
    cells = {
        0: branch.title,
        1: "1 tensor" if number == 1 else f"{formatting.count(number)} tensors",
        3: formatting.parameters(branch.numel),
        4: formatting.file_size(branch.nbytes),
    }
    return cells.get(column, "")


def _tensor_cell(tensor: TensorInfo, column: int) -> str:
    cells = (
        tensor.module or tensor.name,
        formatting.shape(tensor.shape),
        tensor.dtype,
        formatting.parameters(tensor.numel),
        formatting.file_size(tensor.nbytes),
    )
    return cells[column]
