"""Thirty precisions are no wall: kinds open and close, and the chosen one is always to be seen."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from quantgui.gui.recipe.scheme_list import SchemeList
from quantgui.quant.method import Kind
from quantgui.quant.registry import rows_by_kind


@pytest.fixture
def precisions(qtbot) -> SchemeList:
    made = SchemeList(rows_by_kind())
    qtbot.addWidget(made)
    return made


def shown(precisions: SchemeList) -> list[str]:
    items = [precisions.item(index) for index in range(precisions.count())]
    return [item.text().split(",")[0] for item in items if not item.isHidden()]


def test_at_first_only_headings_then_the_kind_of_the_choice(precisions):
    assert shown(precisions) == [kind.value.split(",")[0] for kind in rows_by_kind()]
    precisions.show_choice("INT4")
    assert precisions.is_open(Kind.INTEGER) and not precisions.is_open(Kind.PLAIN)
    assert "INT4" in shown(precisions) and "BF16" not in shown(precisions)
    assert precisions.currentItem().text().startswith("INT4")


def test_a_heading_opens_and_closes_and_chooses_nothing(precisions, qtbot):
    chosen: list[str] = []
    precisions.chosen.connect(chosen.append)
    precisions.show()
    heading = next(
        precisions.item(i)
        for i in range(precisions.count())
        if precisions.item(i).text().startswith(Kind.TRAINED.value)
    )
    place = precisions.visualItemRect(heading).center()
    qtbot.mouseClick(precisions.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert precisions.is_open(Kind.TRAINED) and "QAT-INT4" in shown(precisions)
    precisions.itemActivated.emit(heading)  # the Return key
    assert not precisions.is_open(Kind.TRAINED)
    assert chosen == []


def test_a_choice_is_announced_once_and_showing_one_is_not(precisions):
    chosen: list[str] = []
    precisions.chosen.connect(chosen.append)
    precisions.show_choice("INT4")
    assert chosen == []
    precisions.choose("NF4")
    precisions.show_choice("NF4")
    assert chosen == ["NF4"]
