"""The compiled kernel counts what torch counts: histograms and extremes to the bit, sums but for their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest
import torch

from quantgui.compiled import compiled_folder
from quantgui.inspection import kernel
from quantgui.inspection.accumulator import TensorRange, TensorStatistics


@pytest.fixture(autouse=True)
def compiled_code(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The compiled functions are kept from one run of the tests to the next; none is prepared before or after."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(request.config.cache.mkdir("numba")))  # type: ignore[union-attr]
    monkeypatch.setattr(kernel, "_prepared", None)
    compiled_folder.cache_clear()
    yield
    compiled_folder.cache_clear()


def pairs() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    random = torch.Generator().manual_seed(3)
    normal = torch.randn(37, 331, generator=random) * 0.02 + 0.001
    rounded = (normal * 200).round() / 200
    outlier = normal.clone()
    outlier[5, 7] = -3.0
    return {
        "rounded": (normal, rounded),
        "outlier": (outlier, outlier.half().float()),
        "exact": (normal, normal.clone()),
        "zeros": (torch.zeros(3, 8), torch.zeros(3, 8)),
        "constant": (torch.full((3, 8), 2.5), torch.full((3, 8), 2.0)),
        "lost": (normal, torch.zeros_like(normal)),
        "tiny": (normal * 1e-30, rounded * 1e-30),  # not the kernel's: fourth powers need a unit of their own
        "transposed": (normal.t(), rounded.t()),
        "one": (torch.ones(1, 1), torch.zeros(1, 1)),
    }


def counted(before: torch.Tensor, after: torch.Tensor, block: int) -> TensorStatistics:
    whole = TensorRange()
    whole.add(before, "w")
    total = TensorStatistics(whole)
    for first in range(0, len(before), block):
        part = TensorStatistics(whole)
        part.add_pair(before[first : first + block], after[first : first + block], torch.ones(1))
        total.merge(part)
    return total


@pytest.mark.parametrize("name", pairs())
@pytest.mark.parametrize("block", [7, 64])
def test_both_ways_agree(name: str, block: int) -> None:
    before, after = pairs()[name]
    by_torch = counted(before, after, block)
    assert kernel.prepare(kernel.WORTH_COMPILING)
    fused = counted(before, after, block)
    assert fused.histograms == by_torch.histograms
    assert fused.channel_max == by_torch.channel_max
    assert fused.step == by_torch.step
    found, expected = fused.error(), by_torch.error()
    assert (found.max_abs, found.zeroed, found.clipped) == (expected.max_abs, expected.zeroed, expected.clipped)
    figures = zip((*astuple(found), fused.kurtosis), (*astuple(expected), by_torch.kurtosis), strict=True)
    for ours, theirs in figures:
        assert ours == (None if theirs is None else pytest.approx(theirs, rel=1e-5, abs=1e-6))


def test_few_weights_are_counted_by_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantgui.compiled.compiled_folder", lambda: tmp_path)
    assert not kernel.prepare(kernel.WORTH_LOADING)
    assert kernel.prepared() is None


def test_without_the_compiler_torch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(kernel, "compiled_module", missing)
    assert not kernel.prepare(10**10)
    before, after = pairs()["rounded"]
    assert counted(before, after, 64).error().mse > 0
