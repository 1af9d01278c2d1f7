"""The map shows the worst tensor of each module and layer, in order, with readable text."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from quantgui.report.colors import cividis, text_on
from quantgui.report.heat_map import heat_map


def test_exact_and_layerless_tensors_are_not_drawn(make_report):
    report = make_report(0, "attn.q")
    exact = replace(report, error=replace(report.error, sqnr_db=None))
    assert heat_map([exact, replace(report, layer=None)]) is None


def test_one_tooltip_per_cell(reports):
    drawn = heat_map(reports)
    assert drawn is not None
    assert drawn.count("<title>") == 28


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
