"""The two searches of AWQ: scales that protect the columns with large inputs, and ranges that are worth clipping.

Lin et al. 2023, "AWQ: Activation-aware weight quantization" (arXiv:2306.00978), section 3.2: s = (mean |x|)^alpha with
alpha from a grid, chosen by the error of the layer's outputs; then the clipping ratio of each group likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.calibration.hessian import output_power
from quantgui.calibration.input_statistics import InputStatistics
from quantgui.quant.searched_rows import some_rows

if TYPE_CHECKING:
    import torch

RoundTrip = Callable[["torch.Tensor"], "torch.Tensor"]
"""A float32 weight [outputs, inputs] quantized and dequantized again."""

GRID = 20
"""Tried exponents alpha: 1/20 to 19/20, beside no scaling; and clipping ratios: 1, 1 - 1/20, and so on to 0.55."""
SMALLEST_SCALE = 1e-4
FINALISTS = 3
"""Exponents that are best by some outputs, and are then compared by all of them."""


@dataclass(frozen=True)
class Layer:
    """A linear layer of a search: its float32 weight [outputs, inputs] and how it is quantized."""

    weight: torch.Tensor
    round_trip: RoundTrip

    def difference(self, scales: torch.Tensor | None) -> torch.Tensor:
        """Weight minus what it becomes when its columns are quantized scaled."""
        if scales is None:
            return self.weight - self.round_trip(self.weight)
        return self.weight - self.round_trip(self.weight * scales) / scales


def search_scales(
    layers: Sequence[Layer], statistics: InputStatistics, shared: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor | None:
    """The best scales [inputs] for layers that share their inputs, None where none help.

    The exponent is chosen on a sample of the inputs; whether it helps is asked of all. `shared` makes scales equal
    where the source cannot tell them apart.
    """
    inputs, magnitudes, hessian = statistics.sample, statistics.mean, statistics.hessian.matrix
    few = [Layer(some_rows(layer.weight), layer.round_trip) for layer in layers]

    def scales_of(step: int) -> torch.Tensor:
        scales = magnitudes.pow(step / GRID).clamp_(min=SMALLEST_SCALE)
        return shared(scales / (scales.max() * scales.min()).sqrt())

    def error(measured: Sequence[Layer], scales: torch.Tensor) -> float:
        return sum(float((inputs @ layer.difference(scales).T).square().sum()) for layer in measured)

    def error_on_all(scales: torch.Tensor | None) -> float:
        return sum(output_power(hessian, layer.difference(scales)) for layer in few)

    candidates = [scales_of(step) for step in range(1, GRID)]
    finalists = sorted(candidates, key=lambda scales: error(few, scales))[:FINALISTS]
    best = min(finalists, key=lambda scales: error(layers, scales))
    return best if error_on_all(best) < error_on_all(None) else None


def search_clipping(
    weight: torch.Tensor, hessian: torch.Tensor, group_size: int, round_trip: RoundTrip
) -> torch.Tensor:
    """Largest magnitudes [outputs, groups, 1] to which each group is best clipped before it is quantized.

    The error of a group is d H_g d^T with H_g its block of the matrix H [inputs, inputs] of the inputs that the weight
    is multiplied by; what groups have to do with each other is left out.
    """
    import torch

    grouped = weight.view(len(weight), -1, group_size)
    blocks = torch.stack(
        [
            hessian[first : first + group_size, first : first + group_size]
            for first in range(0, len(hessian), group_size)
        ]
    )
    absmax = grouped.abs().amax(dim=2, keepdim=True)
    best, least = absmax, _group_errors(grouped, round_trip(weight), blocks)
    for step in range(1, GRID // 2):
        limit = absmax * (1 - step / GRID)
        clipped = torch.minimum(torch.maximum(grouped, -limit), limit)
        error = _group_errors(grouped, round_trip(clipped.view_as(weight)), blocks)
        better = error < least
        best, least = torch.where(better.unsqueeze(2), limit, best), torch.where(better, error, least)
    return best


def _group_errors(grouped: torch.Tensor, rounded: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """Squared output errors [outputs, groups], up to a common factor."""
    difference = (grouped - rounded.view_as(grouped)).transpose(0, 1)
    return ((difference @ blocks) * difference).sum(dim=2).T


def clip(weight: torch.Tensor, limits: torch.Tensor, group_size: int) -> torch.Tensor:
    """`weight` [outputs, inputs] with the groups of each row cut off at `limits` [outputs, groups, 1]."""
    import torch

    grouped = weight.view(len(weight), -1, group_size)
    return torch.minimum(torch.maximum(grouped, -limits), limits).view_as(weight)
