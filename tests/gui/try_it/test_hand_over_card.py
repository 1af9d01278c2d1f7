"""The "Use it elsewhere" card, with states instead of child processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.gui.run_control import RunControl
from quantgui.gui.try_it.hand_over_card import HandOverCard
from quantgui.jobs.events import Failed, Finished, HandOverResult, QuantizeResult, Verification, VerificationStatus
from quantgui.jobs.fold import RunState, fold
from quantgui.jobs.job import HandOverJob, Program, QuantizeJob
from quantgui.schemes.recipe import Recipe, SchemeSpec


@pytest.fixture
def card(state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> HandOverCard:
    def start(control: RunControl, job: HandOverJob) -> None:
        control.state = RunState(job=job)
        control.changed.emit()

    monkeypatch.setattr(RunControl, "start", start)
    job = QuantizeJob("demo", "out.gguf", Recipe(SchemeSpec("Q4_K_M")))
    checked = Verification(VerificationStatus.VERIFIED, "fine")
    made = HandOverCard(state, QuantizeResult(job, "out.gguf", 100, 30, 40, 50, 1.0, None, checked))
    qtbot.addWidget(made)
    made.show()
    return made


def press(card: HandOverCard, text: str) -> None:
    next(found for found in card.findChildren(QPushButton) if found.text() == text).click()


def end(state: AppState, outcome: Finished | Failed) -> None:
    assert state.runs.handover.state is not None
    state.runs.handover.state = fold(state.runs.handover.state, outcome, 1.0)
    state.runs.handover.changed.emit()


def test_a_button_hands_the_file_over_and_shows_the_command(card: HandOverCard, state: AppState) -> None:
    assert not card._command.isVisibleTo(card)
    press(card, "Ollama")
    job = state.runs.handover.state and state.runs.handover.state.job
    assert isinstance(job, HandOverJob) and (job.source, job.program) == ("out.gguf", Program.OLLAMA)
    end(state, Finished(handed_over=HandOverResult("out.gguf.Modelfile", "ollama run out", "Ollama knows it.")))
    assert (card._words.text(), card._command.text()) == ("Ollama knows it.", "ollama run out")
    assert card._command.isVisibleTo(card)


def test_somebody_elses_modelfile_is_asked_about_before_it_is_replaced(
    card: HandOverCard, state: AppState, tmp_path: Path
) -> None:
    card._source = str(tmp_path / "out.gguf")
    (tmp_path / "out.gguf.Modelfile").write_text("FROM mine\n")
    press(card, "Ollama")
    assert state.runs.handover.state is None and card._question.isVisibleTo(card)
    press(card, "Keep")
    assert state.runs.handover.state is None and not card._question.isVisibleTo(card)
    press(card, "Ollama")
    press(card, "Replace")
    job = state.runs.handover.state and state.runs.handover.state.job
    assert isinstance(job, HandOverJob) and job.overwrite and not card._question.isVisibleTo(card)


def test_a_refusal_stands_in_the_card(card: HandOverCard, state: AppState) -> None:
    press(card, "LM Studio")
    end(state, Failed("The folder is not there.", "Install it."))
    assert card._error.isVisibleTo(card)
    press(card, "llama.cpp")
    assert not card._error.isVisibleTo(card)
