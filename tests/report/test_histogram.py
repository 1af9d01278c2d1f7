"""Histograms keep outliers, survive odd inputs, and show the levels inside the range."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from quantgui.report.histogram import MAX_BINS, error_figure, merge, weights_figure
from quantgui.types import Histogram


@given(st.lists(st.integers(0, 10**12), max_size=2000))
def test_merging_bins_keeps_the_largest_count_and_every_occupied_region(counts):
    merged = merge(counts)
    assert len(merged) <= MAX_BINS
    assert max(merged, default=0) == max(counts, default=0)
    assert any(merged) == any(counts)


def test_levels_outside_the_range_are_not_drawn(make_report):
    report = replace(make_report(0, "attn.q"), levels=(-9.0, 0.0, 0.01, 9.0))
    drawn = weights_figure(report)
    assert drawn is not None
    assert drawn.count('class="level"') == 2


def test_constant_and_empty_tensors_are_drawn(make_report):
    report = make_report(0, "attn.q")
    constant = replace(report, before=Histogram(1.0, 1.0, (64,)), after=None, levels=(1.0,))
    assert weights_figure(constant) is not None
    assert weights_figure(replace(report, before=Histogram(0.0, 0.0, ()), after=None)) is not None


def test_no_figure_without_data(make_report):
    report = make_report(0, "attn.q")
    assert weights_figure(replace(report, before=None)) is None
    assert error_figure(replace(report, difference=None)) is None
    assert error_figure(replace(report, difference=Histogram(-1, 1, (0, 0)))) is None


def test_a_band_wider_than_the_figure_stays_inside(make_report):
    drawn = error_figure(replace(make_report(0, "attn.q"), step=1e9))
    assert drawn is not None
    assert 'class="band"' in drawn
    assert 'x="-' not in drawn
