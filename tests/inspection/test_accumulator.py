"""Streaming statistics equal the textbook formulas on the whole tensor."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.inspection.accumulator import MAX_CHANNELS, TensorRange, TensorStatistics
from quantgui.inspection.histograms import FixedHistogram, GrowingHistogram
from quantgui.types import UserError


def statistics(before: torch.Tensor, after: torch.Tensor, block: int) -> TensorStatistics:
    whole = TensorRange()
    whole.add(before, "w")
    total = TensorStatistics(whole)
    for first in range(0, len(before), block):
        part = TensorStatistics(whole)
        part.add_original(before[first : first + block])
        part.add_quantized(before[first : first + block], after[first : first + block])
        total.merge(part)
    return total


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), block=st.integers(1, 40), noise=st.floats(1e-4, 1.0))
def test_equal_to_the_formulas_on_the_whole_tensor(seed, block, noise):
    generator = torch.Generator().manual_seed(seed)
    before = torch.randn(33, 17, generator=generator) + 0.3
    after = before + noise * torch.randn(33, 17, generator=generator)
    result = statistics(before, after, block)
    w, v = before.double(), after.double()
    error = result.error()
    assert error.mse == pytest.approx(float((w - v).square().mean()), rel=1e-4)
    assert error.max_abs == pytest.approx(float((w - v).abs().max()), rel=1e-5)
    assert error.sqnr_db == pytest.approx(10 * math.log10(float(w.square().sum() / (w - v).square().sum())), abs=1e-3)
    assert error.relative == pytest.approx(float((w - v).norm() / w.norm()), rel=1e-4)
    assert error.cosine == pytest.approx(float((w * v).sum() / w.norm() / v.norm()), abs=1e-5)
    centred = w - w.mean()
    assert result.kurtosis == pytest.approx(float((centred**4).mean() / centred.square().mean() ** 2), rel=1e-3)
    assert result.channel_max == pytest.approx(before.abs().amax(1).tolist())
    for histogram in result.histograms:
        assert sum(histogram.counts) == before.numel()


def test_an_exact_copy_has_no_sqnr_and_cosine_one():
    rows = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    error = statistics(rows, rows, 2).error()
    assert error.sqnr_db is None
    assert error.max_abs == 0
    assert error.cosine == pytest.approx(1.0)


def test_all_zero_and_constant_tensors_give_no_nonsense():
    for value in (0.0, 2.5):
        rows = torch.full((4, 8), value)
        result = statistics(rows, rows, 4)
        assert result.kurtosis is None
        assert all(math.isfinite(x) for x in (result.error().mse, result.error().max_abs))
        assert sum(result.before.result().counts) == 32


def test_zeroed_counts_only_what_was_not_zero():
    before, after = torch.tensor([[0.0, 0.1, 1.0, -1.0]]), torch.tensor([[0.0, 0.0, 1.0, -1.0]])
    assert statistics(before, after, 1).error().zeroed == 0.25


def test_channel_maxima_are_max_pooled():
    rows = torch.zeros(MAX_CHANNELS * 3, 2)
    rows[700, 1] = -9.0
    whole = TensorRange(-9.0, 0.0)
    result = TensorStatistics(whole)
    result.add_original(rows)
    assert len(result.channel_max) == MAX_CHANNELS
    assert max(result.channel_max) == 9.0


@pytest.mark.parametrize(("bad", "word"), [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")])
def test_values_that_are_not_finite_are_named(bad, word):
    rows = torch.ones(2, 2)
    rows[0, 1] = bad
    with pytest.raises(UserError, match=word) as caught:
        TensorRange().add(rows, "model.bad.weight")
    assert "model.bad.weight" in caught.value.message


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=50), st.integers(1, 49))
def test_a_growing_histogram_counts_everything_in_its_true_bin_range(values, split):
    a, b = GrowingHistogram(), GrowingHistogram()
    a.add(torch.tensor(values[:split]))
    if values[split:]:
        b.add(torch.tensor(values[split:]))
    a.merge(b)
    result = a.result()
    assert sum(result.counts) == len(values)
    assert result.low == -result.high
    assert max(map(abs, values)) <= result.high


def test_a_fixed_histogram_equals_torch():
    values = torch.rand(1000, generator=torch.Generator().manual_seed(2))
    histogram = FixedHistogram(0.0, 1.0, bins=16)
    histogram.add(values)
    assert histogram.result().counts == tuple(int(c) for c in torch.histc(values, 16, 0, 1))
