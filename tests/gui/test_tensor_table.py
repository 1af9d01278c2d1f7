from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QPersistentModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester
from pytestqt.qtbot import QtBot

from quantgui.gui.tensor_table import COLUMNS, TensorTable
from quantgui.gui.tensor_view import TensorView
from quantgui.jobs.report_log import ReportLog
from quantgui.types import Role
from tests.gui.tapes import quantize_tape
from tests.jobs import samples

TITLES = [column.title for column in COLUMNS]


def names(model: TensorTable) -> list[str]:
    return [model.report_at(row).name for row in range(model.rowCount())]


def test_growing_inserts_and_never_resets(qtbot: QtBot) -> None:
    tape = quantize_tape(3)
    model = TensorTable()
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.sort(TITLES.index("SQNR"))
    log = ReportLog()
    model.show(log)
    resets: list[bool] = []
    model.modelReset.connect(lambda: resets.append(True))
    first = tape.state(8).reports
    for report in first.values():
        log = log.add(report)
        model.show(log)
    for report in tape.state().reports.since(len(first)):
        log = log.add(report)
        model.show(log)
    assert sorted(names(model)) == sorted(tape.state().reports)
    assert not resets


def test_numbers_sort_as_numbers_and_missing_ones_stay_last() -> None:
    model = TensorTable()
    model.show(quantize_tape(3).state().reports)
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        model.sort(TITLES.index("SQNR"), order)
        values = [model.report_at(row).error for row in range(model.rowCount())]
        known = [error.sqnr_db for error in values if error is not None and error.sqnr_db is not None]
        assert known == sorted(known, reverse=order is Qt.SortOrder.DescendingOrder)
        assert all(error is None for error in values[len(known) :])


def test_layer_two_comes_before_layer_ten() -> None:
    model = TensorTable()
    model.show(ReportLog(tuple(replace(samples.report(f"layers.{n}.w"), layer=n) for n in (10, 2, 1))))
    model.sort(0)
    assert names(model) == ["layers.1.w", "layers.2.w", "layers.10.w"]


def test_the_selection_stays_with_its_tensor() -> None:
    model = TensorTable()
    model.show(quantize_tape(2).state().reports)
    held = QPersistentModelIndex(model.index(5, 0))
    name = model.report_at(5).name
    model.sort(TITLES.index("MSE"), Qt.SortOrder.DescendingOrder)
    assert model.report_at(held.row()).name == name


def test_the_filter_looks_at_names_schemes_and_roles() -> None:
    model = TensorTable()
    reports = quantize_tape(2).state().reports
    model.show(reports)
    model.set_filter("MLP down")
    assert len(names(model)) == 2
    model.set_filter("kept")
    assert all(reports[name].scheme_id is None for name in names(model))
    model.set_filter("", Role.ATTENTION)
    assert {reports[name].role for name in names(model)} == {Role.ATTENTION}
    model.set_filter()
    assert len(names(model)) == len(reports)


def test_an_exact_tensor_is_better_than_any_number() -> None:
    exact = samples.report("exact", None)
    assert exact.error is not None
    exact = replace(exact, error=replace(exact.error, mse=0.0))
    model = TensorTable()
    model.show(ReportLog((exact, samples.report("b", 90.0))))
    model.sort(TITLES.index("SQNR"), Qt.SortOrder.DescendingOrder)
    assert names(model) == ["exact", "b"]
    assert model.data(model.index(0, TITLES.index("SQNR"))) == "exact"


def test_the_export_has_raw_values_and_units() -> None:
    model = TensorTable()
    model.show(ReportLog((samples.report("a", 21.5),)))
    lines = model.table().to_csv().splitlines()
    assert "SQNR (dB)" in lines[0] and "Before (bytes)" in lines[0]
    assert "21.5" in lines[1] and "16384" in lines[1]


def test_another_run_starts_over() -> None:
    model = TensorTable()
    model.show(quantize_tape(2).state().reports)
    model.show(ReportLog((samples.report("only"),)))
    assert names(model) == ["only"]


def test_the_view_follows_a_selection_without_echo(qtbot: QtBot) -> None:
    model = TensorTable()
    model.show(quantize_tape(2).state().reports)
    view = TensorView(model)
    qtbot.addWidget(view)
    chosen: list[str] = []
    view.chosen.connect(chosen.append)
    name = model.report_at(7).name
    view.select(name)
    assert view.currentIndex().row() == 7
    assert not chosen
    view.setCurrentIndex(model.index(3, 0))
    assert chosen == [model.report_at(3).name]


def test_columns_that_do_not_fit_are_left_out_until_all_are_asked_for(qtbot: QtBot) -> None:
    view = TensorView(TensorTable(), hidden=("MSE",))
    qtbot.addWidget(view)
    view.show()

    def shown() -> list[str]:
        return [title for index, title in enumerate(TITLES) if not view.isColumnHidden(index)]

    view.resize(420, 300)
    narrow = shown()
    assert narrow[:3] == ["Tensor", "Scheme", "SQNR"] and len(narrow) < 6
    view.resize(1600, 300)
    assert shown() == [title for title in TITLES if title != "MSE"]
    view.resize(420, 300)
    assert shown() == narrow
    view.show_all_columns(True)
    assert len(shown()) == len(TITLES) - 1
