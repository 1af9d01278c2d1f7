from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt

from quantgui.checkpoint.resolve import resolve
from quantgui.fit.budget import budget_of
from quantgui.fit.estimate import estimate_table
from quantgui.fit.settings import FitSettings
from quantgui.gui import theme
from quantgui.gui.fit.columns import COLUMNS, MEMORY, QUALITY
from quantgui.gui.fit.groups import GGUF, grouped
from quantgui.gui.fit.scale import limits_of
from quantgui.gui.fit.table_model import Line
from quantgui.gui.fit.table_view import TableView
from quantgui.hardware.catalogue import target
from quantgui.types import MemoryEstimate, MemoryKind

HARDWARE = target("RTX 3060")


@pytest.fixture
def view(qtbot) -> TableView:
    made = TableView()
    qtbot.addWidget(made)
    made.resize(980, 620)
    made.show()
    show(made)
    return made


def show(view: TableView, context: int = 8192, picked: str = "INT4", unfolded: tuple[str, ...] = ()) -> None:
    checkpoint = resolve("meta-llama/Llama-3.1-8B-Instruct")
    estimates = estimate_table(checkpoint, HARDWARE, FitSettings(context))
    view.show_groups(grouped(estimates, unfolded), limits_of(budget_of(HARDWARE)), picked, "INT8", "INT4")


def place_of(view: TableView, scheme_id: str) -> QPoint:
    index = view.lines.index_of(scheme_id)
    assert index.isValid()
    view.scrollTo(index)
    return view.visualRect(index).center()


def test_a_click_picks_the_row_and_a_double_click_uses_it(qtbot, view) -> None:
    place = place_of(view, "FP8")
    with qtbot.waitSignal(view.picked) as picked:
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    with qtbot.waitSignal(view.chosen) as chosen:
        qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert picked.args == chosen.args == ["FP8"]


def test_arrows_move_the_pick_and_enter_uses_it(qtbot, view) -> None:
    rows = [row.scheme_id for row in view.lines.groups[0].rows]
    after = rows[rows.index("INT4") + 1]
    with qtbot.waitSignal(view.picked) as picked:
        qtbot.keyClick(view, Qt.Key.Key_Down)
    assert picked.args == [after]
    with qtbot.waitSignal(view.chosen) as chosen:
        qtbot.keyClick(view, Qt.Key.Key_Return)
    assert chosen.args == [after]


def test_enter_on_a_heading_folds_its_group_and_on_the_last_line_asks_for_the_rest(qtbot, view) -> None:
    number = next(i for i, group in enumerate(view.lines.groups) if group.id == GGUF)
    heading = view.lines.index(number, 0)
    view.setCurrentIndex(heading)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert not view.isExpanded(heading)
    assert view.closed_groups == (GGUF,)
    qtbot.keyClick(view, Qt.Key.Key_Return)
    assert view.isExpanded(heading)
    last = view.lines.index(view.lines.rowCount(heading) - 1, 0, heading)
    assert view.lines.line(last) is Line.FOLD
    view.setCurrentIndex(last)
    with qtbot.waitSignal(view.unfold_asked) as asked:
        qtbot.keyClick(view, Qt.Key.Key_Return)
    assert asked.args == [GGUF]


def test_new_numbers_keep_cursor_and_scroll_position(qtbot, view) -> None:
    show(view, unfolded=(GGUF,))
    view.verticalScrollBar().setValue(200)
    before = view.currentIndex().row(), view.verticalScrollBar().value()
    with qtbot.assertNotEmitted(view.picked):
        show(view, context=32_768, unfolded=(GGUF,))
    assert (view.currentIndex().row(), view.verticalScrollBar().value()) == before


def test_bars_are_drawn_in_the_hues_of_their_parts(view) -> None:
    image = view.viewport().grab().toImage()
    seen = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(0, image.height(), 3)}
    for kind in (MemoryKind.WEIGHTS, MemoryKind.KV_CACHE):
        assert theme.current().memory(kind).name() in seen


def test_a_narrow_table_gives_up_columns_before_the_bars(view) -> None:
    head = view.header()
    assert not head.isSectionHidden(QUALITY)
    view.resize(520, 620)
    assert head.isSectionHidden(QUALITY)
    assert not head.isSectionHidden(MEMORY)
    view.resize(1200, 620)
    assert not any(head.isSectionHidden(column) for column in range(len(COLUMNS)))


def test_every_cell_of_a_row_has_words_and_the_cursor_line_can_be_read_aloud(view) -> None:
    index = view.lines.index_of("INT8")
    row = view.lines.line(index)
    assert isinstance(row, MemoryEstimate)
    for column in range(len(COLUMNS)):
        assert index.siblingAtColumn(column).data()
    view.setCurrentIndex(index)
    assert "Verdict" in view.accessibleDescription()
    assert row.reason in index.siblingAtColumn(MEMORY).data(Qt.ItemDataRole.ToolTipRole)
