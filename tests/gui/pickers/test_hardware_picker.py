from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QLabel

from quantgui.gui.pickers.hardware_picker import ALL_KINDS, HardwarePicker
from quantgui.hardware.catalogue import devices, target
from quantgui.types import GIB


@pytest.fixture
def picker(qtbot, state) -> HardwarePicker:
    made = HardwarePicker(state)
    qtbot.addWidget(made)
    made.show()
    return made


def test_the_catalogue_is_large_and_filtered_by_kind_and_words(picker) -> None:
    assert len(picker.table.visible_rows()) == len(devices()) >= 100
    picker._kind.setCurrentText("laptop GPU")
    assert {device.kind for device in picker.table.visible_rows()} == {"laptop GPU"}
    picker._kind.setCurrentText(ALL_KINDS)
    picker.table.filter.setText("rtx 3060")
    assert 0 < len(picker.table.visible_rows()) < 10


def test_the_number_on_the_box_and_the_usable_memory_are_told_apart(picker) -> None:
    picker.table.filter.setText("rtx 4090")
    picker.table.view.selectRow(0)
    words = [label.text().replace("\u00a0", " ") for label in picker._options.findChildren(QLabel)]
    assert "24 GB" in words
    assert any(word.endswith("GiB") for word in words)


def test_two_of_one_device_hold_twice_as_much(qtbot, picker, state) -> None:
    picker.table.filter.setText("rtx 3060")
    picker.table.view.selectRow(0)
    with qtbot.waitSignal(picker.done):
        picker._options.choose()
    one = state.hardware.device_bytes
    picker._options._count.setValue(2)
    picker._options.choose()
    assert state.hardware.device_bytes == 2 * one


def test_own_numbers_become_hardware_and_impossible_ones_an_error_in_place(qtbot, picker, state) -> None:
    custom = picker.tabs.widget(2)
    custom._vram.setValue(10)
    custom._ram.setValue(20)
    custom._choose()
    assert (state.hardware.device_bytes, state.hardware.ram_bytes) == (10 * GIB, 20 * GIB)
    custom._vram.setValue(0)
    custom._ram.setValue(0)
    with qtbot.assertNotEmitted(picker.done):
        custom._choose()
    assert not custom._error.isHidden()


def test_a_closed_picker_hears_nothing_any_more(qtbot, state) -> None:
    picker = HardwarePicker(state)
    picker.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    with qtbot.captureExceptions() as exceptions:
        state.choose_hardware(target("RTX 3060"))
    assert not exceptions
