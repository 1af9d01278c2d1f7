"""Settings: looks, folders, what computes, and what to send when asking for help."""

from __future__ import annotations

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from quantgui.gui import diagnostics, formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.cache_folder import cache_size
from quantgui.gui.pages import Page
from quantgui.gui.settings import MEMORY_UNITS, THEMES
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.folder_field import FolderField
from quantgui.gui.widgets.number_box import decimal_number, whole_number
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.gui.widgets.text import muted, small
from quantgui.types import HardwareTarget

THEME_WORDS = {"system": "As the system says", "light": "Light", "dark": "Dark"}
UNIT_WORDS = {"GiB": "GiB (1,073,741,824 bytes)", "GB": "GB (1,000,000,000 bytes)"}
TITLE_WIDTH = 116
FIELD_WIDTH = 260


class SettingsPage(PageFrame):
    """Every change is saved at once."""

    def __init__(self, state: AppState) -> None:
        super().__init__("Settings", "Changes are saved as you make them.", scrolls=True)
        self._state = state
        columns = QHBoxLayout()
        columns.setSpacing(14)
        for cards in ((self._looks(), self._computation()), (self._folders(), self._help())):
            column = QVBoxLayout()
            column.setSpacing(14)
            for card in cards:
                column.addWidget(card)
            column.addStretch(1)
            columns.addLayout(column, 1)
        self.body.addLayout(columns, 1)

    def _looks(self) -> Card:
        state = self._state
        card, form = _form_card("Looks")
        theme = _choices("Theme", {key: THEME_WORDS[key] for key in THEMES}, state.settings.theme)
        theme.currentIndexChanged.connect(lambda: state.change_settings(theme=theme.currentData()))
        state.settings_changed.connect(lambda: _select(theme, state.settings.theme))
        unit = _choices("Unit of memory", {key: UNIT_WORDS[key] for key in MEMORY_UNITS}, state.settings.memory_unit)
        unit.currentIndexChanged.connect(lambda: state.change_settings(memory_unit=unit.currentData()))
        _add_row(form, "Theme", theme)
        _add_row(form, "Unit of memory", unit)
        card.body.addWidget(small("Files are always shown in GB, as shops and file managers count them."))
        return card

    def _folders(self) -> Card:
        state, home = self._state, self._state.home
        card, form = _form_card("Folders")
        rows = (
            ("Outputs", "outputs_folder", str(home.outputs)),
            ("Models", "models_folder", "Where file dialogs begin"),
            ("Cache", "cache_folder", str(home.cache)),
        )
        for title, field, default in rows:
            chooser = FolderField(title, getattr(state.settings, field), default)
            chooser.changed.connect(lambda text, field=field: state.change_settings(**{field: text}))
            _add_row(form, title, chooser)
        limit = decimal_number("Limit of the cache", 0.1, 10_000, state.settings.cache_limit_gb, unit="GB")
        limit.setMaximumWidth(FIELD_WIDTH)
        limit.valueChanged.connect(lambda value: state.change_settings(cache_limit_gb=value))
        _add_row(form, "Limit of the cache", limit)
        size = formatting.file_size(cache_size(state.cache_folder))
        card.body.addWidget(small(f"The cache holds {size} of intermediate results; the oldest go first."))
        return card

    def _computation(self) -> Card:
        state = self._state
        card, form = _form_card("Computation")
        device = _choices("Device", devices_of(state.machine), state.settings.device)
        device.currentIndexChanged.connect(lambda: state.change_settings(device=device.currentData()))
        state.hardware_changed.connect(lambda: _refill(device, devices_of(state.machine), state.settings.device))
        threads = whole_number("Threads", 0, 1024, state.settings.threads or 0, zero="All cores")
        threads.setMaximumWidth(FIELD_WIDTH)
        threads.valueChanged.connect(lambda value: state.change_settings(threads=value or None))
        _add_row(form, "Device", device)
        _add_row(form, "Threads", threads)
        card.body.addWidget(small("A device that runs out of memory is left for the CPU; the run goes on."))
        return card

    def _help(self) -> Card:
        card = Card("When something goes wrong")
        card.body.addWidget(muted("Diagnostics hold versions, the platform and the end of the log; nothing of models."))
        row = QHBoxLayout()
        row.addWidget(button("Copy diagnostics", self._copy, icon="copy"))
        row.addWidget(button("Open the log folder", self._open_logs, icon="open"))
        row.addStretch(1)
        card.body.addLayout(row)
        return card

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(diagnostics.collect())
        self._state.message.emit("Diagnostics are on the clipboard.")

    def _open_logs(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._state.home.logs)))


def _add_row(form: QFormLayout, title: str, field: QWidget) -> None:
    """A field with its title; titles are equally wide in all cards, so that the fields below each other line up."""
    form.addRow(title, field)
    form.labelForField(field).setMinimumWidth(TITLE_WIDTH)


def devices_of(machine: HardwareTarget) -> dict[str, str]:
    """Devices the arithmetic can run on, by torch's names."""
    found = {"cpu": "CPU"}
    index = 0
    for gpu in machine.accelerators:
        if gpu.vendor == "Apple":
            found["mps"] = gpu.name
        elif gpu.vendor in ("NVIDIA", "AMD"):
            found[f"cuda:{index}"] = gpu.name
            index += 1
    return found


def _form_card(title: str) -> tuple[Card, QFormLayout]:
    card = Card(title)
    form = QFormLayout()
    form.setHorizontalSpacing(20)
    form.setVerticalSpacing(10)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    card.body.addLayout(form)
    return card, form


def _choices(name: str, words: dict[str, str], chosen: str) -> QComboBox:
    made = QComboBox()
    made.setMaximumWidth(FIELD_WIDTH)
    made.setAccessibleName(name)
    _refill(made, words, chosen)
    return made


def _refill(combo: QComboBox, words: dict[str, str], chosen: str) -> None:
    combo.blockSignals(True)
    combo.clear()
    for key, text in words.items() if chosen in words else (words | {chosen: chosen}).items():
        combo.addItem(text, key)
    combo.blockSignals(False)
    _select(combo, chosen)


def _select(combo: QComboBox, key: str) -> None:
    combo.blockSignals(True)
    combo.setCurrentIndex(combo.findData(key))
    combo.blockSignals(False)


PAGE = Page(
    id="settings",
    title="Settings",
    order=10,
    icon="settings",
    shortcut="Ctrl+,",
    make=SettingsPage,
    at_foot=True,
    tip="Theme, folders, device, diagnostics.",
)
