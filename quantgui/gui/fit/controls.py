"""How the model will be used: context, slots, KV cache, program, devices. Every change is estimated at once."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from quantgui.fit.settings import KV_TYPES, MAX_BATCH, MAX_CONTEXT, MAX_SLOTS
from quantgui.gui import formatting, glossary
from quantgui.gui.app_state import AppState
from quantgui.gui.fit.power_field import PowerField
from quantgui.gui.fit.words import RUNTIMES
from quantgui.gui.widgets.buttons import link
from quantgui.gui.widgets.number_box import whole_number
from quantgui.gui.widgets.text import term
from quantgui.hardware.catalogue import MAX_COUNT
from quantgui.hardware.several import can_be_several, with_count
from quantgui.types import Runtime

LOWEST_CONTEXT, HIGHEST_CONTEXT = 9, 20  # exponents of two: 512 tokens to a million
ALL_RUNTIMES = "All"
FIELD_HEIGHT = 32
_FOLD = "fit.more"


class Controls(QWidget):
    """One line of fields; rarely used ones come with "More"."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._context = PowerField("Context", "Context", LOWEST_CONTEXT, HIGHEST_CONTEXT, MAX_CONTEXT)
        self._context.setMaximumWidth(360)
        self._context.changed.connect(lambda value: state.change_fit(context=value))
        self._slots = whole_number("Slots", 1, MAX_SLOTS, 1)
        self._slots.valueChanged.connect(lambda value: state.change_fit(slots=value))
        self._kv = _choices("Type of the KV cache", list(KV_TYPES), "KV cache type")
        self._kv.currentTextChanged.connect(lambda text: state.change_fit(kv_dtype=text))
        self._runtime = _choices("Program that runs the model", [ALL_RUNTIMES, *RUNTIMES.values()], "Runtime")
        for number, name in enumerate(RUNTIMES.values(), start=1):
            self._runtime.setItemData(number, glossary.explain(name), Qt.ItemDataRole.ToolTipRole)
        self._runtime.currentIndexChanged.connect(lambda index: state.change_fit(runtime=_runtime_at(index)))
        self._devices = whole_number("Number of devices", 1, MAX_COUNT, 1)
        self._devices.valueChanged.connect(self._change_devices)
        self._batch = whole_number("Batch", 1, MAX_BATCH, 1)
        self._batch.valueChanged.connect(lambda value: state.change_fit(batch=value))
        self._flash = QCheckBox("Flash attention")
        self._flash.setToolTip(glossary.explain("Flash attention"))
        self._flash.toggled.connect(lambda on: state.change_fit(flash_attention=on))
        self._imatrix = QCheckBox("Importance matrix")
        self._imatrix.setToolTip(glossary.explain("Importance matrix"))
        self._imatrix.toggled.connect(lambda on: state.change_fit(imatrix=on))
        self._lay_out()
        for signal in (state.fit_changed, state.hardware_changed, state.checkpoint_changed):
            signal.connect(self._show)
        self._show()

    def _lay_out(self) -> None:
        state = self._state
        for box in (self._slots, self._devices, self._batch):
            box.setKeyboardTracking(False)
            box.setFixedSize(76, FIELD_HEIGHT)
        row = QHBoxLayout()
        row.setSpacing(18)
        row.addWidget(self._context, 1)
        row.addLayout(_titled("Slots", self._slots, "Slots"))
        row.addLayout(_titled("KV cache", self._kv, "KV cache type"))
        row.addLayout(_titled("Program", self._runtime, "Runtime"))
        row.addLayout(_titled("Devices", self._devices, "Devices"))
        self._toggle = link("", self._toggle_more, tip="Batch, flash attention, importance matrix")
        row.addWidget(self._toggle, 0, Qt.AlignmentFlag.AlignBottom)
        row.addStretch(1)
        self._more = QWidget()
        more = QHBoxLayout(self._more)
        more.setContentsMargins(0, 0, 0, 0)
        more.setSpacing(18)
        more.addWidget(term("Batch"))
        more.addWidget(self._batch)
        more.addWidget(self._flash)
        more.addWidget(self._imatrix)
        more.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(row)
        layout.addWidget(self._more)
        self._show_more(state.remembered(_FOLD) == "open")

    @property
    def fields(self) -> list[QWidget]:
        """What takes the keyboard's focus, in reading order."""
        first = [*self._context.fields, self._slots, self._kv, self._runtime, self._devices, self._toggle]
        return [*first, self._batch, self._flash, self._imatrix]

    def _toggle_more(self) -> None:
        is_open = self._more.isHidden()
        self._show_more(is_open)
        self._state.remember(_FOLD, "open" if is_open else "closed")

    def _show_more(self, is_open: bool) -> None:
        self._more.setVisible(is_open)
        self._toggle.setText("Less" if is_open else "More")
        self._toggle.setAccessibleName("Fewer settings" if is_open else "More settings")

    def _change_devices(self, count: int) -> None:
        self._state.choose_hardware(with_count(self._state.hardware, count))

    def _show(self) -> None:
        state = self._state
        settings, hardware = state.fit_settings, state.hardware
        self._context.set_value(settings.context)
        made_for = state.checkpoint.config.context_length if state.checkpoint and state.checkpoint.config else None
        beyond = made_for is not None and settings.context > made_for
        self._context.set_note(f"beyond the model's {formatting.count(made_for)}" if beyond else "")
        runtime = 0 if settings.runtime is None else 1 + list(RUNTIMES).index(settings.runtime)
        for box, value in ((self._slots, settings.slots), (self._batch, settings.batch)):
            _set_number(box, value)
        _set_number(self._devices, max(1, len(hardware.accelerators)))
        self._devices.setEnabled(can_be_several(hardware))
        for combo, index in ((self._kv, list(KV_TYPES).index(settings.kv_dtype)), (self._runtime, runtime)):
            combo.blockSignals(True)
            combo.setCurrentIndex(index)
            combo.blockSignals(False)
        for check, on in ((self._flash, settings.flash_attention), (self._imatrix, settings.imatrix)):
            check.blockSignals(True)
            check.setChecked(on)
            check.blockSignals(False)


def _runtime_at(index: int) -> Runtime | None:
    return None if index <= 0 else list(RUNTIMES)[index - 1]


def _choices(name: str, texts: list[str], word: str) -> QComboBox:
    made = QComboBox()
    made.addItems(texts)
    made.setAccessibleName(name)
    made.setToolTip(glossary.explain(word))
    made.setFixedHeight(FIELD_HEIGHT)
    return made


def _titled(title: str, field: QWidget, word: str) -> QVBoxLayout:
    layout = QVBoxLayout()
    layout.setSpacing(4)
    layout.addWidget(term(title, word))
    layout.addWidget(field)
    return layout


def _set_number(box: QSpinBox, value: int) -> None:
    box.blockSignals(True)
    box.setValue(value)
    box.blockSignals(False)
