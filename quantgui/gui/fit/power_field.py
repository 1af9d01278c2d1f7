"""A slider over powers of two with an exact entry beside it: context lengths."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QSpinBox, QVBoxLayout, QWidget

from quantgui.gui.widgets.text import small, term

SLIDER_WIDTH, BOX_WIDTH, BOX_HEIGHT = 150, 100, 32


class PowerField(QWidget):
    """`changed` carries the value whenever a person changes it, while the slider moves too."""

    changed = Signal(int)

    def __init__(self, title: str, word: str, lowest: int, highest: int, maximum: int) -> None:
        super().__init__()
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(lowest, highest)
        self._slider.setPageStep(1)
        self._slider.setMinimumWidth(SLIDER_WIDTH)
        self._slider.setAccessibleName(f"{title}, powers of two")
        self._box = QSpinBox()
        self._box.setRange(1, maximum)
        self._box.setFixedSize(BOX_WIDTH, BOX_HEIGHT)
        self._box.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._box.setAccessibleName(title)
        self._box.setKeyboardTracking(False)
        self._note = small(wrap=False)
        head = QHBoxLayout()
        self._title: QLabel = term(title, word)
        head.addWidget(self._title)
        head.addStretch(1)
        head.addWidget(self._note)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self._slider, 1)
        row.addWidget(self._box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addLayout(row)
        self._slider.valueChanged.connect(lambda exponent: self._change(1 << exponent))
        self._box.valueChanged.connect(self._change)

    @property
    def fields(self) -> tuple[QWidget, QWidget]:
        """Slider and box, in reading order."""
        return self._slider, self._box

    def value(self) -> int:
        """The exact value."""
        return self._box.value()

    def set_value(self, value: int) -> None:
        """Show `value` without saying that it changed; the slider stands at the nearest power of two below it."""
        for widget, shown in ((self._box, value), (self._slider, max(1, value).bit_length() - 1)):
            widget.blockSignals(True)
            widget.setValue(shown)
            widget.blockSignals(False)

    def set_note(self, text: str) -> None:
        """A few words beside the title."""
        self._note.setText(text)

    def _change(self, value: int) -> None:
        self.set_value(value)
        self.changed.emit(value)
