"""What stands below the field of the importance matrix, and what the Run page says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.gui.importance.dialog import ImportanceDialog
from quantgui.gui.importance.note import ImportanceNote
from quantgui.gui.pages.recipe_page import RecipePage
from quantgui.gui.pages.run_page import RunPage
from quantgui.jobs.events import Cancelled, Progress, Stage, Started
from quantgui.jobs.job import Calibration, ImatrixJob
from quantgui.schemes.recipe import Recipe, SchemeSpec
from tests.gui.importance.conftest import write_for


@pytest.fixture
def note(opened: AppState, qtbot: QtBot) -> ImportanceNote:
    page = RecipePage(opened)
    qtbot.addWidget(page)
    page.show()
    found = page.findChild(ImportanceNote)
    assert found is not None
    return found


def shown(note: ImportanceNote) -> tuple[str, list[str]]:
    """The words, and the buttons that can be pressed."""
    buttons = [b.text() for b in note.findChildren(QPushButton) if b.isVisibleTo(note) and b.isEnabled()]
    return note._words.text().replace("\u202f", " "), buttons


def test_a_type_that_needs_one_says_so_beside_the_way_to_it(note: ImportanceNote, opened: AppState) -> None:
    words, buttons = shown(note)
    assert "IQ2_XS needs one" in words and buttons == ["Compute…"]
    assert note._icons["tight"].isVisibleTo(note)


def test_a_type_that_can_do_without_only_offers_it(opened: AppState, qtbot: QtBot) -> None:
    opened.set_recipe(Recipe(SchemeSpec("Q4_K_M")))
    note = ImportanceNote(opened)
    qtbot.addWidget(note)
    assert shown(note) == ("", ["Compute…"])


def test_one_for_the_same_model_is_found_and_used(note: ImportanceNote, opened: AppState, qtbot: QtBot) -> None:
    assert opened.checkpoint is not None
    folder = opened.outputs_folder
    write_for(opened.checkpoint, folder / "demo-other.imatrix.gguf", model="demo-other")
    write_for(opened.checkpoint, folder / "demo-2.imatrix.gguf", columns=3)
    ours = write_for(opened.checkpoint, folder / "demo.imatrix.gguf")
    opened.importance.look()
    qtbot.waitUntil(lambda: opened.importance.offered is not None, timeout=5000)
    words, buttons = shown(note)
    assert "There is one: 42 tensors, from 6 samples of 128 tokens of calibration.txt, for demo." in words
    assert buttons == ["Compute…", "Use it"]
    note._use.click()
    assert opened.importance.path == str(ours)
    qtbot.waitUntil(lambda: opened.importance.chosen is not None, timeout=5000)
    note = opened_note(note)
    assert shown(note)[0].startswith("42 tensors") and note._icons["fits"].isVisibleTo(note)


def opened_note(note: ImportanceNote) -> ImportanceNote:
    """The form is drawn anew when a setting of the recipe has changed."""
    page = next(w for w in QApplication.topLevelWidgets() if isinstance(w, RecipePage))
    QApplication.sendPostedEvents(None, 52)  # DeferredDelete
    found = page.findChild(ImportanceNote)
    assert found is not None
    return found


def test_a_file_of_another_model_is_refused_before_the_start(opened: AppState, qtbot: QtBot, tmp_path: Path) -> None:
    assert opened.checkpoint is not None
    page = RunPage(opened)
    qtbot.addWidget(page)
    page.resize(1100, 720)
    page.show()
    for path, words in (
        (write_for(opened.checkpoint, tmp_path / "other.gguf", columns=3), "made for another model"),
        (tmp_path / "nowhere.gguf", "cannot be used"),
    ):
        opened.importance.use(str(path))
        qtbot.waitUntil(lambda path=path: getattr(opened.importance.chosen, "path", "") == str(path), timeout=5000)
        assert page._prepare.objection is not None and words in page._prepare.objection.message
        page._throttle.now()
        QApplication.processEvents()
        assert not page._start.isEnabled()
        assert any(b.text() == "Compute…" for b in page.findChildren(QPushButton) if b.isVisible())


def test_the_run_page_offers_to_compute_what_the_type_needs(opened: AppState, qtbot: QtBot) -> None:
    page = RunPage(opened)
    qtbot.addWidget(page)
    page.show()
    page._throttle.now()
    QApplication.processEvents()
    next(b for b in page.findChildren(QPushButton) if b.text() == "Compute…" and b.isVisible()).click()
    dialog = page.findChild(ImportanceDialog)
    assert dialog is not None and dialog.isVisible()
    dialog.close()


def test_the_run_page_waits_for_the_computation(
    opened: AppState, qtbot: QtBot, tell: Callable[..., ImatrixJob]
) -> None:
    page = RunPage(opened)
    qtbot.addWidget(page)
    page.show()
    opened.start_importance("/nowhere/x.imatrix.gguf", Calibration(None, 4, 32))
    page._throttle.now()
    QApplication.processEvents()
    said = [label.text() for label in page.findChildren(QLabel) if label.isVisible()]
    assert any("is being computed" in words for words in said) and not page._start.isEnabled()
    assert not any("needs an importance matrix" in words for words in said)
    assert "One job at a time" in page._start.toolTip()
    tell(Cancelled())
    page._throttle.now()
    assert page._start.toolTip() == "Ctrl+R"


def test_a_file_cannot_have_one_computed(
    state: AppState, qtbot: QtBot, tmp_path: Path, tiny_llama_folder: Path
) -> None:
    with qtbot.waitSignal(state.fit_changed, timeout=20_000):
        state.open_model(str(tiny_llama_folder / "model.safetensors"))
    state.set_recipe(Recipe(SchemeSpec("Q4_K_M")))
    assert "folder" in state.importance.objection


def test_while_it_is_computed_the_note_says_how_far_and_shows_it(
    note: ImportanceNote, opened: AppState, tell: Callable[..., ImatrixJob]
) -> None:
    opened.start_importance("/nowhere/x.imatrix.gguf", Calibration(None, 4, 32))
    tell(Started("x", 100, 2), Stage("Running the text through the model"), Progress(40))
    words, buttons = shown(note)
    assert "Being computed: 40" in words and "left" in words and buttons == ["Show"]
    tell(Cancelled())
    assert shown(note)[1] == ["Compute…"]
