"""Choosing hardware: this machine, a device of the catalogue, or numbers of one's own."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QTabWidget, QVBoxLayout, QWidget

from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.pickers.custom_hardware import CustomHardware
from quantgui.gui.pickers.device_options import DeviceOptions
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.row_model import Column
from quantgui.gui.widgets.search_table import SearchTable
from quantgui.hardware.catalogue import CatalogueDevice, devices
from quantgui.types import GB, HardwareTarget

ALL_KINDS = "All kinds"
COLUMNS = (
    Column("Device", lambda d: d.name, tip=lambda d: d.note or f"{d.vendor} {d.name}"),
    Column("Vendor", lambda d: d.vendor),
    Column("Kind", lambda d: d.kind),
    Column("Memory", lambda d: f"{sizes(d)} GB", sort=lambda d: max(d.memory_gb), right=True, word="VRAM"),
    Column(
        "Bandwidth",
        lambda d: formatting.bandwidth(d.bandwidth_gb_s * GB),
        sort=lambda d: d.bandwidth_gb_s,
        right=True,
        word="Memory bandwidth",
    ),
    Column("Year", lambda d: str(d.release_year or ""), sort=lambda d: d.release_year, right=True),
)


def sizes(device: CatalogueDevice) -> str:
    """ "24", or "8–24" where a device is sold in several sizes."""
    low, high = min(device.memory_gb), max(device.memory_gb)
    return str(high) if low == high else f"{low}–{high}"


class HardwarePicker(QWidget):
    """`done` follows once hardware was chosen."""

    done = Signal()

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        tabs = QTabWidget()
        tabs.addTab(self._catalogue(), "Catalogue")
        tabs.addTab(self._machine(), "This machine")
        custom = CustomHardware()
        custom.chosen.connect(self._choose)
        tabs.addTab(custom, "Custom")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(tabs)
        self.tabs = tabs

    def _catalogue(self) -> QWidget:
        self.table = SearchTable(COLUMNS, "Devices", filter_hint="Search devices", noun="device")
        self.table.set_widths(0, 90, 140, 90, 100, 56)
        self._kind = QComboBox()
        self._kind.setAccessibleName("Kind of device")
        self._kind.addItems([ALL_KINDS, *sorted({device.kind for device in devices()})])
        self._kind.currentTextChanged.connect(self._show_kind)
        self.table.bar.insertWidget(1, self._kind)
        self._options = DeviceOptions()
        self._options.chosen.connect(self._choose)
        self.table.selected.connect(self._options.set_device)
        self.table.chosen.connect(lambda _: self._options.choose())
        self._show_kind(ALL_KINDS)
        page = QWidget()
        row = QHBoxLayout(page)
        row.setContentsMargins(0, 12, 0, 0)
        row.setSpacing(14)
        row.addWidget(self.table, 1)
        row.addWidget(self._options)
        return page

    def _show_kind(self, kind: str) -> None:
        self.table.set_rows([d for d in devices() if kind in (ALL_KINDS, d.kind)])

    def _machine(self) -> QWidget:
        card = Card("What was found here")
        self._found = Facts(machine_facts(self._state.machine))
        card.body.addWidget(self._found)
        card.body.addStretch(1)
        buttons = QHBoxLayout()
        buttons.addWidget(button("Look again", self._state.refresh_machine, icon="refresh"))
        buttons.addStretch(1)
        buttons.addWidget(button("Use this machine", lambda: self._choose(self._state.machine), primary=True))
        card.body.addLayout(buttons)
        self._state.hardware_changed.connect(self._show_machine)  # a method: Qt disconnects it with the dialog
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 12, 0, 0)
        layout.addWidget(card)
        return page

    def _show_machine(self) -> None:
        self._found.set_facts(machine_facts(self._state.machine))

    def _choose(self, target: HardwareTarget) -> None:
        self._state.choose_hardware(target)
        self.done.emit()


def machine_facts(machine: HardwareTarget) -> list[Fact]:
    """What the probe found. Memory in GiB; the number on a card's box in GB beside it."""
    facts = [
        Fact("Processor", f"{machine.cpu_name} · {machine.cpu_cores} cores" if machine.cpu_name else ""),
        Fact("RAM", formatting.memory(machine.ram_bytes), tip=f"{machine.ram_bytes} bytes"),
        Fact("RAM available now", formatting.memory(machine.ram_available_bytes)),
        Fact("Disk space free", formatting.file_size(machine.disk_free_bytes)),
    ]
    for gpu in machine.accelerators:
        box = f"sold as {gpu.marketed_gb:g} GB, " if gpu.marketed_gb else ""
        free = f", {formatting.memory(gpu.free_bytes)} free" if gpu.free_bytes is not None else ""
        facts.append(Fact("GPU", f"{gpu.name}: {box}{formatting.memory(gpu.memory_bytes)} usable{free}", "VRAM"))
    if not machine.accelerators:
        facts.append(Fact("GPU", "None was found; models run from RAM."))
    facts.append(Fact("Note", machine.note))
    return facts
