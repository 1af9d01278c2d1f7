from __future__ import annotations

import pytest

from quantgui.jobs.fold import RunState
from tests.gui.tapes import quantize_tape


class FakeSource:
    """What plots pull from: a run, a selection, and no signals."""

    def __init__(self, run: RunState | None = None, selected: str | None = None) -> None:
        self.run = run
        self.selected_tensor = selected

    def select_tensor(self, name: str | None) -> None:
        self.selected_tensor = name


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(quantize_tape(3).state(), "model.layers.1.mlp.down_proj.weight")
