"""The search looks at a few outputs first; what it chooses is as good as what looking at all of them chooses."""

import pytest
import torch

from quantgui.calibration.input_statistics import InputStatistics
from quantgui.quant import searched_rows
from quantgui.quant.awq_search import Layer, search_scales
from quantgui.quant.searched_rows import SEARCH_ROWS, some_rows

GROUP = 32


def round_trip(weight: torch.Tensor) -> torch.Tensor:
    """Four bits with a scale per group, symmetric."""
    grouped = weight.unflatten(1, (-1, GROUP))
    scale = grouped.abs().amax(dim=2, keepdim=True) / 7.5
    return ((grouped / scale).round().clamp(-8, 7) * scale).flatten(1)


def problem(seed: int, rows: int) -> tuple[list[Layer], InputStatistics]:
    """Two layers with the same inputs, some channels of which stand out."""
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(600, 128, generator=random) * torch.exp(torch.randn(128, generator=random))
    statistics = InputStatistics(128, torch.device("cpu"))
    statistics.add(inputs)
    weights = torch.randn(2, rows, 128, generator=random) * torch.exp(torch.randn(2, rows, 1, generator=random) / 2)
    return [Layer(weight, round_trip) for weight in weights], statistics


def chosen_error(rows: int, seed: int) -> float:
    """Squared output error with the scales that the search finds, relative to that without scales."""
    layers, statistics = problem(seed, rows)
    scales = search_scales(layers, statistics, lambda scales: scales)
    assert scales is not None
    inputs = statistics.sample

    def error(scales: torch.Tensor | None) -> float:
        return sum(float((inputs @ layer.difference(scales).T).square().sum()) for layer in layers)

    return error(scales) / error(None)


@pytest.mark.parametrize("seed", range(4))
def test_few_outputs_choose_as_well_as_all(seed, monkeypatch):
    few = chosen_error(8 * SEARCH_ROWS, seed)
    monkeypatch.setattr(searched_rows, "SEARCH_ROWS", 8 * SEARCH_ROWS)
    assert few <= 1.002 * chosen_error(8 * SEARCH_ROWS, seed)
    assert few < 0.9


@pytest.mark.parametrize(("rows", "kept"), [(8, 8), (SEARCH_ROWS, SEARCH_ROWS), (10 * SEARCH_ROWS, SEARCH_ROWS)])
def test_small_layers_are_searched_whole(rows, kept):
    assert len(some_rows(torch.zeros(rows, GROUP))) == kept


def test_no_scales_where_they_do_not_help():
    statistics = InputStatistics(128, torch.device("cpu"))
    statistics.add(torch.randn(600, 128, generator=torch.Generator().manual_seed(0)))
    exact = Layer(torch.ones(16, 128), lambda weight: weight)
    assert search_scales([exact], statistics, lambda scales: scales) is None
