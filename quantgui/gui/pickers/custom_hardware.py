"""Hardware in one's own numbers."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDoubleSpinBox, QFormLayout, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.text import small
from quantgui.hardware.custom import custom_target
from quantgui.types import UserError


class CustomHardware(QWidget):
    """`chosen` carries the finished target."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._name = QLineEdit("My hardware")
        self._vram = _amount(" GiB", 24)
        self._count = QSpinBox()
        self._count.setRange(1, 64)
        self._ram = _amount(" GiB", 64)
        self._bandwidth = _amount(" GB/s", 0)
        self._bandwidth.setSpecialValueText("Not known")
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(10)
        for title, field in (
            ("Name", self._name),
            ("GPU memory, each", self._vram),
            ("How many GPUs", self._count),
            ("RAM", self._ram),
            ("Memory bandwidth", self._bandwidth),
        ):
            field.setAccessibleName(title)
            field.setMaximumWidth(260)
            form.addRow(title, field)
        card = Card("Your own numbers")
        card.body.addLayout(form)
        card.body.addWidget(small("0 GiB of GPU memory means that models run from RAM."))
        self._error = ErrorSlot()
        card.body.addWidget(self._error)
        card.body.addStretch(1)
        card.body.addWidget(button("Use this hardware", self._choose, primary=True))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 12, 0, 0)
        layout.addWidget(card)

    def _choose(self) -> None:
        self._error.show_error(None)
        bandwidth = self._bandwidth.value() or None
        try:
            made = custom_target(
                self._name.text(), self._vram.value(), self._ram.value(), bandwidth, self._count.value()
            )
        except UserError as error:
            self._error.show_error(error)
        else:
            self.chosen.emit(made)


def _amount(unit: str, value: float) -> QDoubleSpinBox:
    made = QDoubleSpinBox()
    made.setRange(0, 100_000)
    made.setDecimals(1)
    made.setSuffix(unit)
    made.setValue(value)
    return made
