"""Every plot of the folder keeps the promises that all plots make."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from quantgui.gui.plots import Plot, discover
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.plots.heat_map_canvas import HeatMapCanvas
from quantgui.gui.plots.weight_histogram import WeightHistogram
from quantgui.types import UserError
from tests.gui.plots.conftest import FakeSource
from tests.gui.tapes import quantize_tape

PLOTS = discover()
each_plot = pytest.mark.parametrize("plot", PLOTS, ids=[plot.id for plot in PLOTS])


def shown(plot: Plot, source: FakeSource, qtbot: QtBot) -> PlotPanel:
    panel = plot.make(source)
    qtbot.addWidget(panel)
    panel.resize(520, 260)
    panel.show()
    return panel


def test_the_folder_is_the_list() -> None:
    assert {plot.id for plot in PLOTS} >= {
        "weight-histogram",
        "error-histogram",
        "sqnr-heat-map",
        "channel-max",
        "memory-trace",
    }
    assert len({plot.id for plot in PLOTS}) == len(PLOTS)


@each_plot
def test_a_plot_draws_says_what_it_found_and_has_a_table_twin(plot: Plot, source: FakeSource, qtbot: QtBot) -> None:
    panel = shown(plot, source, qtbot)
    assert not panel.is_empty
    assert panel.caption
    assert panel.accessibleName() == plot.title
    table = panel.table()
    assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
    panel.toggle_table()
    panel.grab()
    panel.toggle_table()
    panel.reset_view()
    assert not panel.grab().isNull()


@each_plot
def test_exports_are_what_their_names_say(plot: Plot, source: FakeSource, qtbot: QtBot, tmp_path: Path) -> None:
    panel = shown(plot, source, qtbot)
    for suffix in ("csv", "png", "svg"):
        panel.save(tmp_path / f"plot.{suffix}")
    rows = list(csv.reader(io.StringIO((tmp_path / "plot.csv").read_text())))
    assert len(rows) == 1 + len(panel.table().rows)
    assert QImage(str(tmp_path / "plot.png")).width() >= 2 * 400
    tree = ElementTree.parse(tmp_path / "plot.svg")
    assert plot.title in "".join(tree.getroot().itertext())


@each_plot
def test_nothing_to_show_is_a_sentence(plot: Plot, qtbot: QtBot) -> None:
    panel = shown(plot, FakeSource(), qtbot)
    assert panel.is_empty
    panel.refresh()
    assert panel.is_empty


@each_plot
def test_a_plot_follows_its_source(plot: Plot, qtbot: QtBot) -> None:
    tape = quantize_tape(2)
    source = FakeSource(tape.state(3))
    panel = shown(plot, source, qtbot)
    for count in range(4, len(tape.events) + 1, 7):
        source.run = tape.state(count)
        panel.refresh()
    source.run = tape.state()
    panel.refresh()
    source.selected_tensor = "model.layers.1.attn"
    panel.refresh()
    panel.grab()


def test_a_kept_tensor_says_why_it_has_no_histogram(source: FakeSource, qtbot: QtBot) -> None:
    source.selected_tensor = "model.embed_tokens.weight"
    panel = WeightHistogram(source)
    qtbot.addWidget(panel)
    assert panel.is_empty
    assert panel._empty.text() == "Embeddings are kept."


def test_an_export_that_cannot_be_written_is_a_sentence(source: FakeSource, qtbot: QtBot, tmp_path: Path) -> None:
    panel = shown(PLOTS[0], source, qtbot)
    for suffix in ("csv", "png", "svg"):
        with pytest.raises(UserError):
            panel.save(tmp_path / "absent" / f"plot.{suffix}")


def test_a_click_into_the_map_selects_the_tensor(source: FakeSource, qtbot: QtBot) -> None:
    plot = next(plot for plot in PLOTS if plot.id == "sqnr-heat-map")
    panel = shown(plot, source, qtbot)
    canvas = panel.findChild(HeatMapCanvas)
    assert canvas is not None
    cell = canvas._grid.cells[(2, "mlp.up")]
    center = canvas._rects()[2, "mlp.up"].center()
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(round(center.x()), round(center.y())))
    assert source.selected_tensor == cell.report.name
    panel.refresh()
    qtbot.keyClick(canvas, Qt.Key.Key_Left)
    assert source.selected_tensor == canvas._grid.cells[(1, "mlp.up")].report.name


def test_values_under_the_pointer_are_shown(source: FakeSource, qtbot: QtBot) -> None:
    panel = WeightHistogram(source)
    qtbot.addWidget(panel)
    panel.canvas.hovered.emit(0.0)
    assert "before" in panel._readout_label.text()
    panel.canvas.left.emit()
    assert not panel._readout_label.text()
