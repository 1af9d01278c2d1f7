"""The chosen device of the catalogue: which size, how many, in a computer with how much RAM."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFormLayout

from quantgui.gui import formatting
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.number_box import whole_number
from quantgui.gui.widgets.text import small
from quantgui.hardware.catalogue import CatalogueDevice, target
from quantgui.types import GB, HardwareTarget, UserError

WIDTH = 280


class DeviceOptions(Card):
    """`chosen` carries the finished target."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__("Choose a device")
        self.setFixedWidth(WIDTH)
        self._device: CatalogueDevice | None = None
        self._size = QComboBox()
        self._size.setAccessibleName("Memory size")
        self._count = whole_number("How many of this device", 1, 16, 1)
        self._ram = whole_number("RAM of the computer around it", 0, 4096, 0, unit="GiB", zero="Not stated")
        self._ram.setSingleStep(16)
        self._form = QFormLayout()
        self._form.addRow("Memory", self._size)
        self._form.addRow("How many", self._count)
        self._form.addRow("Host RAM", self._ram)
        self._facts = Facts()
        self._note = small()
        self._use = button("Use this hardware", self.choose, primary=True)
        self.body.addLayout(self._form)
        self.body.addWidget(self._facts)
        self.body.addWidget(self._note)
        self.body.addStretch(1)
        self.body.addWidget(self._use)
        for signal in (self._size.currentIndexChanged, self._count.valueChanged, self._ram.valueChanged):
            signal.connect(self._show)
        self._show()

    def set_device(self, device: CatalogueDevice) -> None:
        """Offer the choices of this device."""
        self._device = device
        self._size.blockSignals(True)
        self._size.clear()
        for size in device.memory_gb:
            self._size.addItem(f"{size} GB", size)
        self._size.blockSignals(False)
        self._count.setValue(1)
        self.set_title(device.name)
        self._show()

    def choose(self) -> None:
        """Announce the target as it stands."""
        made = self._target()
        if made is not None:
            self.chosen.emit(made)

    def _target(self) -> HardwareTarget | None:
        if self._device is None:
            return None
        try:
            ram = self._ram.value() or None
            return target(self._device.name, self._count.value(), self._size.currentData(), ram)
        except UserError as error:
            self._note.setText(error.message)
            return None

    def _show(self) -> None:
        device = self._device
        single = device is None or device.unified or not device.has_gpu
        self._form.setRowVisible(self._size, device is not None and len(device.memory_gb) > 1)
        self._form.setRowVisible(self._count, not single)
        self._form.setRowVisible(self._ram, not single)
        self._use.setEnabled(device is not None)
        if device is None:
            self._note.setText("Click a device in the list to see what a model could use of it.")
            return
        made = self._target()
        if made is not None:
            self._facts.set_facts(_facts(device, self._size.currentData(), made))
            self._note.setText(made.note)


def _facts(device: CatalogueDevice, size: int, made: HardwareTarget) -> list[Fact]:
    usable = made.device_bytes or (made.accelerators[0].memory_bytes if made.accelerators else made.ram_bytes)
    flops = device.fp16_tensor_tflops
    return [
        Fact("On the box", f"{size} GB"),
        Fact("Usable", formatting.memory(usable), "GiB", tip=f"{usable} bytes"),
        Fact("Host RAM", formatting.memory(made.ram_bytes) if made.device_bytes else ""),
        Fact("Bandwidth", formatting.bandwidth(device.bandwidth_gb_s * GB), "Memory bandwidth"),
        Fact("FP16", f"{formatting.digits(flops)} TFLOP/s" if flops else "", "FP16"),
    ]
