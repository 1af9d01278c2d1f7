from __future__ import annotations

import csv
import io

import pytest
from PySide6.QtCore import Qt

from quantgui.gui.widgets.row_model import Column
from quantgui.gui.widgets.search_table import SearchTable

COLUMNS = (
    Column("Name", lambda row: row[0], tip=lambda row: f"full/{row[0]}"),
    Column("Size", lambda row: "" if row[1] is None else f"{row[1]} GB", sort=lambda row: row[1], right=True),
)
ROWS = [("beta", 2), ("alpha", None), ("gamma", 10), ("delta", 1)]


@pytest.fixture
def table(qtbot) -> SearchTable:
    made = SearchTable(COLUMNS, "Things", noun="thing")
    qtbot.addWidget(made)
    made.set_rows(ROWS)
    return made


def names(table: SearchTable) -> list[str]:
    return [row[0] for row in table.visible_rows()]


def test_rows_keep_their_order_until_somebody_sorts(table) -> None:
    assert names(table) == ["beta", "alpha", "gamma", "delta"]


def test_numbers_sort_as_numbers_and_unknown_ones_stand_last_both_ways(table) -> None:
    table.view.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert names(table) == ["delta", "beta", "gamma", "alpha"]
    table.view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert names(table) == ["gamma", "beta", "delta", "alpha"]


def test_the_filter_wants_every_word_and_looks_into_tooltips(table) -> None:
    table.filter.setText("10 gam")
    assert names(table) == ["gamma"]
    table.filter.setText("full/")
    assert len(names(table)) == 4
    table.filter.setText("nothing like it")
    assert names(table) == []


def test_csv_holds_raw_values_of_what_is_shown(table) -> None:
    table.filter.setText("a")
    rows = list(csv.reader(io.StringIO(table.csv())))
    assert rows[0] == ["Name", "Size"]
    assert ["gamma", "10"] in rows


def test_following_a_selection_does_not_announce_it(qtbot, table) -> None:
    with qtbot.assertNotEmitted(table.selected):
        table.select(ROWS[2])
    assert table.current() == ROWS[2]
    with qtbot.waitSignal(table.selected) as said:
        table.view.selectRow(0)
    assert said.args == [ROWS[0]]


def test_the_arrangement_survives(qtbot, table) -> None:
    table.view.setColumnWidth(0, 321)
    table.view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    other = SearchTable(COLUMNS, "Things")
    qtbot.addWidget(other)
    other.set_rows(ROWS)
    other.restore_arrangement(table.arrangement())
    assert other.view.columnWidth(0) == 321
    assert names(other) == names(table)
