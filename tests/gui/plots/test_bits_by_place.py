"""The strip of tensors: places of a file, order without one, the values under the pointer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from quantgui.gui.plots.bits_by_place import BitsByPlace, placed
from quantgui.jobs.report_log import ReportLog
from tests.gui.plots.conftest import FakeSource
from tests.gui.tapes import quantize_tape

HEADER, PADDED = 4096, 32


def in_a_file(log: ReportLog) -> ReportLog:
    """The reports as those of one file, told in another order than they lie in it."""
    start, found = HEADER, []
    for report in log.values():
        found.append(replace(report, offset=start))
        start += -(-report.bytes_after // PADDED) * PADDED
    return ReportLog(tuple(reversed(found)))


def test_tensors_of_a_file_are_sorted_by_their_places() -> None:
    run = quantize_tape(2).state()
    entries = placed(in_a_file(run.reports))
    assert [report.name for _, report in entries] == list(run.reports)
    assert entries[0][0] == HEADER
    assert all(start == report.offset for start, report in entries)


def test_other_tensors_lie_one_behind_the_other() -> None:
    reports = quantize_tape(2).state().reports
    entries = placed(reports)
    for (start, report), (after, _) in pairwise(entries):
        assert after == start + report.bytes_after


def test_the_pointer_names_the_tensor_and_the_caption_the_mean(qtbot: QtBot) -> None:
    run = quantize_tape(2).state()
    run = replace(run, reports=in_a_file(run.reports))
    source = FakeSource(run, next(iter(run.reports)))
    panel = BitsByPlace(source)
    qtbot.addWidget(panel)
    start, report = placed(run.reports)[3]
    panel.canvas.hovered.emit((start + 1) / 1e6)
    assert panel._readout_label.text().startswith(report.short_name)
    panel.canvas.hovered.emit(1 / 1e6)
    assert panel._readout_label.text() == "", "the header is no tensor"
    assert f"{run.reports.bits_per_weight:.2f}" in panel.caption
    assert "header" in panel.caption


def test_a_click_shows_the_tensor_and_a_drag_zooms(qtbot: QtBot) -> None:
    run = quantize_tape(2).state()
    source = FakeSource(run, next(iter(run.reports)))
    panel = BitsByPlace(source)
    qtbot.addWidget(panel)
    panel.resize(500, 220)
    panel.show()
    QApplication.processEvents()
    start, report = next(entry for entry in placed(run.reports) if entry[1].module == "mlp.up")
    view, canvas = panel.canvas.view, panel.canvas
    scene = view.mapViewToScene(QPointF((start + report.bytes_after / 2) / 1e6, 1))
    point = canvas.mapFromScene(scene)
    qtbot.mouseMove(canvas.viewport(), point)
    qtbot.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=point)
    assert source.selected_tensor == report.name
    panel.refresh()
    assert panel._marked is report
    source.select_tensor(None)
    qtbot.mousePress(canvas.viewport(), Qt.MouseButton.LeftButton, pos=point)
    for step in (20, 40, 60):
        qtbot.mouseMove(canvas.viewport(), point + QPoint(step, 20))
        qtbot.wait(20)
    qtbot.mouseRelease(canvas.viewport(), Qt.MouseButton.LeftButton, pos=point + QPoint(60, 20))
    assert source.selected_tensor is None
