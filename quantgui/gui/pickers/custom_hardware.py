"""Hardware in one's own numbers."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFormLayout, QLineEdit, QVBoxLayout, QWidget

from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.number_box import decimal_number, whole_number
from quantgui.gui.widgets.text import small
from quantgui.hardware.custom import custom_target
from quantgui.types import UserError

MOST = 100_000.0


class CustomHardware(QWidget):
    """`chosen` carries the finished target."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._name = QLineEdit("My hardware")
        self._name.setAccessibleName("Name of the hardware")
        self._vram = decimal_number("GPU memory of each", 0, MOST, 24, unit="GiB")
        self._count = whole_number("How many GPUs", 1, 64, 1)
        self._ram = decimal_number("RAM", 0, MOST, 64, unit="GiB")
        self._bandwidth = decimal_number("Memory bandwidth", 0, MOST, 0, unit="GB/s", zero="Not known")
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
            field.setMaximumWidth(260)
            form.addRow(title, field)
        card = Card("Your own numbers")
        card.body.addLayout(form)
        card.body.addWidget(small("0 GiB of GPU memory means that models run from RAM."))
        self._error = ErrorSlot()
        card.body.addWidget(self._error)
        card.body.addStretch(1)
        card.body.addWidget(button("Use this hardware", self._choose, primary=True), 0, Qt.AlignmentFlag.AlignRight)
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
