"""A log beside the estimate: the right row is found, what it teaches is remembered, applied and forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtWidgets import QWidget

from quantgui.fit.corrections import Correction
from quantgui.fit.logs import parse_log
from quantgui.gui.app_state import AppState
from quantgui.gui.fit.calibrate_dialog import CalibrateDialog, likely_row
from quantgui.hardware.catalogue import target
from quantgui.types import GIB, MemoryEstimate, MemoryKind, Runtime, Verdict

MIB = 2**20


def log_of(estimate: MemoryEstimate, more_compute_mib: int = 0) -> str:
    sizes = {kind: (estimate.part(kind) or 0) / MIB for kind in MemoryKind}
    return "\n".join(
        (
            f"load_tensors: CUDA0 model buffer size = {sizes[MemoryKind.WEIGHTS]:.2f} MiB",
            f"llama_kv_cache: CUDA0 KV buffer size = {sizes[MemoryKind.KV_CACHE]:.2f} MiB",
            f"llama_context: CUDA0 compute buffer size = {sizes[MemoryKind.COMPUTE] + more_compute_mib:.2f} MiB",
        )
    )


def row(state: AppState, scheme_id: str) -> MemoryEstimate:
    return next(e for e in state.estimates if e.scheme_id == scheme_id)


@pytest.fixture
def opened(qtbot, state: AppState) -> AppState:
    state.choose_hardware(target("RTX 3060"))
    with qtbot.waitSignal(state.fit_changed):
        state.open_model("meta-llama/Llama-3.1-8B-Instruct")
    return state


@pytest.fixture
def dialog(qtbot, opened: AppState) -> Iterator[CalibrateDialog]:
    parent = QWidget()
    parent.resize(1000, 700)
    qtbot.addWidget(parent)
    made = CalibrateDialog(opened, row(opened, "INT4"), parent)
    made.show()
    yield made  # its parent lives as long
    parent.close()


def paste(dialog: CalibrateDialog, text: str) -> None:
    dialog._text.setPlainText(text)
    dialog.read()


def test_the_row_that_a_log_is_of_is_found_by_its_weights(opened: AppState) -> None:
    for wanted in ("Q6_K", "Q4_K_M", "Q2_K"):
        found = likely_row(opened.estimates, parse_log(log_of(row(opened, wanted))), row(opened, "INT4"))
        assert found.scheme_id == wanted


def test_what_a_log_teaches_is_applied_remembered_and_forgotten(
    dialog: CalibrateDialog, opened: AppState, make_state: Callable[[], AppState]
) -> None:
    before = row(opened, "Q5_K_M")
    paste(dialog, log_of(before, more_compute_mib=200))
    dialog.remember()
    after = row(opened, "Q5_K_M")
    assert abs(after.total_bytes - before.total_bytes - 200 * MIB) <= MIB
    assert make_state().fit.corrections == opened.fit.corrections
    dialog._learnt.selectRow(0)
    dialog.forget()
    assert row(opened, "Q5_K_M") == before
    assert not make_state().fit.corrections.entries


def test_a_correction_belongs_to_its_device(dialog: CalibrateDialog, opened: AppState) -> None:
    opened.choose_hardware(target("RTX 4090"))
    elsewhere = row(opened, "Q5_K_M")
    opened.choose_hardware(target("RTX 3060"))
    paste(dialog, log_of(row(opened, "Q5_K_M"), more_compute_mib=200))
    dialog.remember()
    opened.choose_hardware(target("RTX 4090"))
    assert row(opened, "Q5_K_M") == elsewhere


def test_text_without_figures_is_refused_in_words(dialog: CalibrateDialog) -> None:
    paste(dialog, "hello")
    assert dialog._error.isVisible()
    assert not dialog._remember.isEnabled()
    paste(dialog, "")
    assert not dialog._error.isVisible()


def test_a_log_of_another_model_is_not_remembered(dialog: CalibrateDialog, opened: AppState) -> None:
    paste(
        dialog, "load_tensors: CUDA0 model buffer size = 90000.00 MiB\nllama_context: CUDA0 compute buffer size = 1 MiB"
    )
    dialog.remember()
    assert dialog._error.isVisible()
    assert not opened.fit.corrections.entries


def test_verdict_and_longest_context_follow_a_correction(opened: AppState) -> None:
    before = row(opened, "Q8_0")
    learnt = Correction(opened.hardware.name, Runtime.LLAMA_CPP, 0, 3 * GIB, "2026-01-01", "nvidia-smi")
    opened.fit.learn(learnt)
    after = row(opened, "Q8_0")
    assert before.verdict is Verdict.FITS
    assert after.verdict is not Verdict.FITS
    assert (after.longest_context or 0) < (before.longest_context or 0)
