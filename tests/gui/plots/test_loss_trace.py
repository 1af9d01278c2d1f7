from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from quantgui.gui.plots.loss_trace import LossTrace, smoothed
from tests.gui.plots.conftest import FakeSource
from tests.gui.tapes import quantize_tape, training_tape


def test_the_loss_is_drawn_over_all_steps_asked_for(qtbot: QtBot) -> None:
    source = FakeSource(training_tape(1).state())
    panel = LossTrace(source)
    qtbot.addWidget(panel)
    assert panel.is_empty
    source.run = training_tape(40).state()
    panel.refresh()
    assert not panel.is_empty
    assert panel.caption.startswith("40 of 50 steps")
    assert panel.canvas.view.viewRange()[0] == [0, 50]
    assert [row[0] for row in panel.table().rows] == list(range(1, 41))
    panel.canvas.hovered.emit(7.2)
    assert panel._readout_label.text().startswith("step 7: ")
    source.run = quantize_tape(2).state()
    panel.refresh()
    assert panel.is_empty


def test_the_smoothed_loss_starts_at_the_first_and_follows() -> None:
    assert smoothed([3.0, 3.0, 3.0]) == pytest.approx([3.0, 3.0, 3.0])
    falling = smoothed([2.0] * 5 + [1.0] * 100)
    assert falling[4] == pytest.approx(2.0)
    assert 1.0 < falling[-1] < 1.001
