from __future__ import annotations

from PySide6.QtWidgets import QComboBox

from quantgui.gui import theme
from quantgui.gui.application import build
from quantgui.gui.pages.settings_page import SettingsPage, devices_of
from quantgui.gui.settings import Settings, load
from quantgui.types import Accelerator, HardwareTarget


def combo(page: SettingsPage, name: str) -> QComboBox:
    return next(c for c in page.findChildren(QComboBox) if c.accessibleName() == name)


def test_a_choice_is_saved_at_once(qtbot, state) -> None:
    page = SettingsPage(state)
    qtbot.addWidget(page)
    combo(page, "Unit of memory").setCurrentIndex(1)
    assert load(state.home.settings_file, Settings).memory_unit == "GB"
    combo(page, "Unit of memory").setCurrentIndex(0)


def test_a_choice_made_elsewhere_is_shown(qtbot, state) -> None:
    page = SettingsPage(state)
    qtbot.addWidget(page)
    state.change_settings(theme="dark")
    assert combo(page, "Theme").currentData() == "dark"


def test_the_theme_setting_dresses_the_application(qtbot, tmp_path) -> None:
    app, window, state = build(tmp_path)
    qtbot.addWidget(window)
    for name in ("dark", "light"):
        state.change_settings(theme=name)
        assert theme.current().name == name
        assert app.palette().window().color().name() == theme.current().window
    state.close()


def test_devices_go_by_torchs_names() -> None:
    gpus = (
        Accelerator("A", 1, vendor="NVIDIA"),
        Accelerator("B", 1, vendor="NVIDIA"),
        Accelerator("C", 1, vendor="Intel"),
    )
    assert list(devices_of(HardwareTarget("x", "x", gpus))) == ["cpu", "cuda:0", "cuda:1"]
    assert list(devices_of(HardwareTarget("x", "x", (Accelerator("M4", 1, vendor="Apple"),)))) == ["cpu", "mps"]
