"""The bundled model open with a type that needs an importance matrix, and jobs that are recorded instead of run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from quantgui.formats.gguf.imatrix import ImportanceMatrix, TensorImportance, write_imatrix
from quantgui.formats.gguf.names import gguf_tensors
from quantgui.gui.app_state import AppState
from quantgui.gui.run_control import RunControl
from quantgui.jobs.events import Event
from quantgui.jobs.fold import RunState, fold
from quantgui.jobs.job import ImatrixJob
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Checkpoint

NEEDS_ONE = Recipe(SchemeSpec("IQ2_XS"))


@pytest.fixture
def opened(state: AppState, qtbot: QtBot) -> AppState:
    with qtbot.waitSignal(state.fit_changed, timeout=20_000):
        state.open_model("demo")  # its rows fill blocks of 256
    state.set_recipe(NEEDS_ONE)
    return state


@pytest.fixture
def tell(opened: AppState, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ImatrixJob]:
    """Lets the computation that was started say something; a terminal event ends it."""
    control = opened.runs.importance

    def start(control: RunControl, job: ImatrixJob) -> None:
        control.state, control._thread = RunState(job, started_at=0.0), object()  # type: ignore[assignment]
        control.changed.emit()

    monkeypatch.setattr(RunControl, "start", start)
    monkeypatch.setattr(RunControl, "close", lambda control: None)

    def tell_it(*events: Event) -> ImatrixJob:
        assert control.state is not None
        job = control.state.job
        assert isinstance(job, ImatrixJob)
        for event in events:
            control.state = fold(control.state, event, control.state.elapsed + 5)
        control.changed.emit()
        if control.state.outcome is not None:
            control._thread = None
            control.changed.emit()
            control.ended.emit()
        return job

    return tell_it


def write_for(checkpoint: Checkpoint, path: Path, model: str = "demo", columns: int = 0) -> Path:
    """A matrix with an entry per weight of the layers; `columns` other than 0 is wrong for the model."""
    entries = {
        tensor.name: TensorImportance(
            np.ones((1, columns or tensor.shape[-1]), np.float32), np.full(1, 768, np.float32)
        )
        for tensor in gguf_tensors(checkpoint)
        if tensor.layer is not None and len(tensor.shape) == 2
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_imatrix(path, ImportanceMatrix(entries, "calibration.txt", 6, 128, model))
    return path
