from __future__ import annotations

from PySide6.QtCore import Qt

from quantgui.gui.pickers.model_choices import ModelChoice, model_choices
from quantgui.gui.pickers.model_picker import ModelPicker


def test_every_reference_is_offered_once_and_the_bundled_model_first(tmp_path) -> None:
    recent = [str(tmp_path / "mine"), "demo", "meta-llama/Llama-3.1-8B-Instruct"]
    references = [choice.reference for choice in model_choices(recent)]
    assert references[:2] == ["demo", recent[0]]
    assert len(set(references)) == len(references)


def test_a_model_in_the_cache_is_offered(home) -> None:
    snapshot = home / "huggingface" / "hub" / "models--org--name" / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"1234")
    found = next(choice for choice in model_choices([]) if choice.where == "On this machine")
    assert (found.name, found.nbytes) == ("org/name", 4)


def test_enter_opens_and_says_that_it_is_done(qtbot, state) -> None:
    picker = ModelPicker(state)
    qtbot.addWidget(picker)
    picker.table.filter.setText("llama-3.1-8b-instruct")
    picker.table.view.selectRow(0)
    assert picker._open.isEnabled()
    with qtbot.waitSignals([picker.done, state.fit_changed]):
        picker._open.click()
    assert state.checkpoint.name == "meta-llama/Llama-3.1-8B-Instruct"


def test_what_cannot_be_estimated_is_listed_and_says_so(qtbot, state) -> None:
    picker = ModelPicker(state)
    qtbot.addWidget(picker)
    unknown = ModelChoice(
        "org/strange", "org/strange", "Catalogue", note="Cannot be estimated yet.", is_supported=False
    )
    picker.table.set_rows([unknown])
    picker.table.view.selectRow(0)
    assert not picker._open.isEnabled()
    assert picker._note.text() == unknown.note
    with qtbot.assertNotEmitted(picker.done):
        picker.table.chosen.emit(unknown)


def test_the_keyboard_alone_finds_and_opens(qtbot, state) -> None:
    picker = ModelPicker(state)
    qtbot.addWidget(picker)
    picker.show()
    qtbot.keyClicks(picker.table.filter, "llama-3.1")
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Up):
        qtbot.keyClick(picker.table.filter, key)
    assert picker.table.view.currentIndex().row() == 0
    first = picker.table.current()
    assert first is not None
    with qtbot.waitSignals([picker.done, state.fit_changed]):
        qtbot.keyClick(picker.table.filter, Qt.Key.Key_Return)
    assert state.checkpoint.name == first.name
