"""The map shows the worst tensor of each module and layer, in order, with readable text."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from quantgui.report.colors import cividis, text_on
from quantgui.report.heat_map import cells, heat_map


def test_experts_of_a_layer_share_a_cell_and_the_worst_one_counts(make_report):
    experts = [make_report(0, f"mlp.experts.{i}.up", sqnr_db=20.0 - i) for i in range(5)]
    (cell,) = cells(experts)
    assert cell.module == "mlp.experts.*.up"
    assert cell.report is experts[4]


def test_exact_and_layerless_tensors_have_no_cell(make_report):
    report = make_report(0, "attn.q")
    exact = replace(report, error=replace(report.error, sqnr_db=None))
    assert cells([exact, replace(report, layer=None)]) == []
    assert heat_map([exact]) is None


def test_one_tooltip_per_cell(reports):
    drawn = heat_map(reports)
    assert drawn is not None
    assert drawn.count("<title>") == len(cells(reports)) == 28


def test_one_value_everywhere_is_drawn(make_report):
    assert heat_map([make_report(layer, "attn.q", 20.0) for layer in range(200)]) is not None


def test_the_map_grows_brighter_and_text_keeps_its_contrast():
    def luminance(color: tuple[int, int, int]) -> float:
        return 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2]

    colors = [cividis(i / 50) for i in range(51)]
    assert all(luminance(a) < luminance(b) for a, b in pairwise(colors))
    assert text_on(colors[0]) == "#ffffff"
    assert text_on(colors[-1]) == "#000000"
    assert cividis(-1) == colors[0]
    assert cividis(2) == colors[-1]
