from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt

from quantgui.checkpoint.resolve import resolve
from quantgui.fit.budget import budget_of
from quantgui.fit.estimate import estimate_all
from quantgui.gui import theme
from quantgui.gui.fit.bars_canvas import TOP, BarsCanvas, tip
from quantgui.gui.fit.scale import limits_of
from quantgui.hardware.catalogue import target
from quantgui.types import MemoryKind


@pytest.fixture
def canvas(qtbot) -> BarsCanvas:
    made = BarsCanvas()
    qtbot.addWidget(made)
    hardware = target("RTX 3060")
    made.resize(760, 520)
    made.show()
    estimates = estimate_all(resolve("meta-llama/Llama-3.1-8B-Instruct"), hardware)
    made.show_estimates(estimates, limits_of(budget_of(hardware)), "INT8", "INT4")
    return made


def test_a_click_picks_the_row_and_a_double_click_uses_it(qtbot, canvas) -> None:
    second = QPoint(200, int(TOP + 1.5 * canvas._row_height()))
    with qtbot.waitSignal(canvas.picked) as picked:
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=second)
    with qtbot.waitSignal(canvas.chosen) as chosen:
        qtbot.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=second)
    assert picked.args == chosen.args == [canvas._estimates[1].scheme_id]


def test_arrows_move_the_pick_and_enter_uses_it(qtbot, canvas) -> None:
    ids = [estimate.scheme_id for estimate in canvas._estimates]
    with qtbot.waitSignal(canvas.picked) as picked:
        qtbot.keyClick(canvas, Qt.Key.Key_Down)
    assert picked.args == [ids[ids.index("INT8") + 1]]
    with qtbot.waitSignal(canvas.chosen) as chosen:
        qtbot.keyClick(canvas, Qt.Key.Key_Return)
    assert chosen.args == ["INT8"]


def test_a_click_beside_the_rows_picks_nothing(qtbot, canvas) -> None:
    with qtbot.assertNotEmitted(canvas.picked):
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 3))


def test_the_longest_bar_is_drawn_in_the_hues_of_its_parts(canvas) -> None:
    image = canvas.grab().toImage()
    seen = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(0, image.height(), 3)}
    assert theme.current().memory(MemoryKind.WEIGHTS).name() in seen
    assert theme.current().memory(MemoryKind.KV_CACHE).name() in seen


def test_hovering_says_what_is_not_estimated(canvas) -> None:
    for estimate in canvas._estimates:
        text = tip(estimate)
        assert estimate.reason in text
        missing = [part for part in estimate.parts if part.nbytes is None]
        assert ("Not estimated" in text) == bool(missing)
