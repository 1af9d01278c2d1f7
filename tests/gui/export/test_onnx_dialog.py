"""The ONNX export from the window: offered where it is possible, followed to its end, refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.gui.export.onnx_dialog import OnnxDialog, onnx_objection
from quantgui.gui.job_strip import JobStrip
from quantgui.gui.pages.model_page import ModelPage
from quantgui.gui.run_control import RunControl
from quantgui.jobs.events import (
    Cancelled,
    Event,
    ExportResult,
    Failed,
    Finished,
    Stage,
    Verification,
    VerificationStatus,
)
from quantgui.jobs.fold import RunState, fold
from quantgui.jobs.job import ExportJob
from quantgui.types import ModelConfig


@pytest.fixture
def opened(state: AppState, qtbot: QtBot, tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppState:
    with qtbot.waitSignal(state.fit_changed, timeout=20_000):
        state.open_model(str(tiny_llama_folder))

    def start(control: RunControl, job: ExportJob) -> None:
        control.state, control._thread = RunState(job, started_at=0.0), object()  # type: ignore[assignment]
        control.changed.emit()

    monkeypatch.setattr(RunControl, "start", start)
    monkeypatch.setattr(RunControl, "close", lambda control: None)
    return state


@pytest.fixture
def dialog(opened: AppState, qtbot: QtBot) -> Iterator[OnnxDialog]:
    parent = QWidget()
    parent.resize(1280, 800)
    qtbot.addWidget(parent)
    made = OnnxDialog(opened, parent)
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    made.show()
    yield made


def tell(state: AppState, event: Event) -> ExportJob:
    control = state.runs.export
    assert control.state is not None
    job = control.state.job
    assert isinstance(job, ExportJob)
    control.state = fold(control.state, event, 5.0)
    if control.state.outcome is not None:
        control._thread = None
    control.changed.emit()
    if control.state.outcome is not None:
        control.ended.emit()
    return job


def words(dialog: OnnxDialog) -> str:
    QApplication.processEvents()
    return "\n".join(label.text() for label in dialog.findChildren(QLabel) if label.isVisibleTo(dialog))


def test_the_model_page_offers_it_for_folders_only(opened: AppState, qtbot: QtBot, tiny_llama_folder: Path) -> None:
    page = ModelPage(opened)
    qtbot.addWidget(page)
    assert page._elsewhere.isVisibleTo(page)
    with qtbot.waitSignal(opened.fit_changed, timeout=20_000):
        opened.open_model(str(tiny_llama_folder / "model.safetensors"))
    assert not page._elsewhere.isVisibleTo(page)


def test_a_quantized_model_is_not_exported(opened: AppState) -> None:
    assert opened.checkpoint is not None and onnx_objection(opened.checkpoint) == ""
    quantized = replace(opened.checkpoint, config=ModelConfig("llama", quantization="gptq"))
    assert "quantized already (gptq)" in onnx_objection(quantized)
    assert onnx_objection(None)


def test_the_export_is_followed_to_its_end(dialog: OnnxDialog, opened: AppState, qtbot: QtBot) -> None:
    strip = JobStrip(opened)
    qtbot.addWidget(strip)
    dialog.start()
    job = tell(opened, Stage("Tracing the model"))
    assert opened.checkpoint is not None
    assert (job.source, job.output) == (opened.checkpoint.path, str(opened.outputs_folder / "llama-ONNX-INT8"))
    assert "Tracing the model" in words(dialog) and dialog._cancel.isVisibleTo(dialog)
    assert strip._name.text() == "Exporting"
    checked = Verification(VerificationStatus.VERIFIED, "onnxruntime agrees.")
    tell(opened, Finished(exported=ExportResult(job, job.output, 4000, 1000, 9.0, checked)))
    text = words(dialog)
    assert "1.00\u00a0kB instead of 4.00\u00a0kB" in text and "onnxruntime agrees." in text and job.output in text
    assert dialog._close.text() == "Done" and not dialog._start.isVisibleTo(dialog)


@pytest.mark.parametrize(
    ("event", "said"), [(Cancelled(), "nothing was written"), (Failed("It needs onnx.", "Install it."), "Install it.")]
)
def test_another_end_is_said_and_it_can_begin_again(
    event: Event, said: str, dialog: OnnxDialog, opened: AppState
) -> None:
    dialog.start()
    tell(opened, event)
    assert said in words(dialog) and dialog._start.isVisibleTo(dialog) and dialog._start.isEnabled()


def test_a_closed_step_leaves_the_export_at_work_and_a_message_tells_its_end(
    dialog: OnnxDialog, opened: AppState
) -> None:
    said: list[object] = []
    opened.message.connect(said.append)
    dialog.start()
    dialog.close()
    job = tell(opened, Stage("Tracing the model"))
    assert opened.is_running and not said
    checked = Verification(VerificationStatus.VERIFIED, "onnxruntime agrees.")
    tell(opened, Finished(exported=ExportResult(job, job.output, 4000, 1000, 9.0, checked)))
    assert said == [f"The ONNX model is at {job.output}."]


def test_a_folder_with_files_is_refused_before_the_start(dialog: OnnxDialog, opened: AppState, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    dialog._output.setText(str(tmp_path / "full"))
    assert "files in this folder" in words(dialog) and not dialog._start.isEnabled()
    dialog.start()
    assert opened.runs.export.state is None
