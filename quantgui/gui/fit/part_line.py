"""One part of an estimate: its size, its band, where the number comes from and the rule in one sentence."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from quantgui.gui import formatting, glossary
from quantgui.gui.fit import words
from quantgui.gui.widgets.text import label, small
from quantgui.types import MemoryPart


class PartLine(QWidget):
    """Two lines: name and size; below, quieter, provenance, band and rule."""

    def __init__(self) -> None:
        super().__init__()
        self._name = label(role="muted")
        self._size = label(role="strong")
        self._provenance = small()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(0, 1)
        grid.addWidget(self._name, 0, 0)
        grid.addWidget(self._size, 0, 1, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self._provenance, 1, 0, 1, 2)

    def show_part(self, part: MemoryPart) -> None:
        """Fill the line."""
        name = words.PARTS[part.kind]
        self._name.setText(f"{name[:1].upper()}{name[1:]}")
        self._name.setToolTip(glossary.explain(name))
        self._size.setText("not estimated" if part.nbytes is None else formatting.memory(part.nbytes))
        self._size.setToolTip("" if part.nbytes is None else f"{formatting.count(part.nbytes)} bytes")
        spread = words.band(part.low, part.high)
        pieces = (part.provenance.value if part.nbytes is not None else "", spread)
        said = ", ".join(piece for piece in pieces if piece)
        self._provenance.setText(" · ".join(piece for piece in (said, part.note) if piece))
        self._provenance.setToolTip(words.PROVENANCE[part.provenance])
        self._provenance.setVisible(bool(said or part.note))
