"""The GPTQ algorithm: columns are quantized one after another, and the error of each is made up for in those to come.

Frantar et al. 2022, "GPTQ: Accurate post-training quantization for generative pre-trained transformers"
(arXiv:2210.17323), algorithm 1: with U the upper Cholesky factor of H^-1, the error e = (w - w^) / U[j, j] of column j
is subtracted from column k > j with the weight U[j, k]. Updates beyond a block of columns are collected and applied
together ("lazy batch updates").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

BLOCK = 128
"""Columns whose updates of the columns beyond are applied at once."""
LARGEST_DAMPING = 1.0

FindScales = Callable[["torch.Tensor"], tuple["torch.Tensor", "torch.Tensor"]]
"""Float32 scales [rows] and zero-points [rows] (as floats) for the weights [rows, columns] of one group."""


@dataclass(frozen=True)
class Solution:
    """Codes int8 [rows, columns] in the source's order; scales and zero-points float32 [rows, groups]."""

    codes: torch.Tensor
    scale: torch.Tensor
    zero_point: torch.Tensor


@dataclass(frozen=True)
class Problem:
    """What all matrices with the same inputs share: an order of the columns and the factor of H^-1 in that order."""

    order: torch.Tensor  # int64 [columns]: the column that is quantized at each step
    factor: torch.Tensor  # float32 [columns, columns], upper triangular


def prepare(hessian: torch.Tensor, damping: float, *, act_order: bool, name: str) -> Problem:
    """The order of the columns and the factor, with `damping` x the mean diagonal added to the diagonal.

    `act_order` takes columns with the largest inputs first. An input that is always zero has no say: its column is
    rounded to nearest. Raises UserError naming the layer where H cannot be inverted.
    """
    import torch

    diagonal = hessian.diagonal()
    dead = diagonal == 0
    order = torch.arange(len(diagonal), device=hessian.device)
    if act_order:
        order = torch.argsort(diagonal, descending=True, stable=True)
    matrix = hessian.clone()
    matrix.diagonal()[dead] = 1.0
    matrix = matrix[order][:, order]
    return Problem(order, _inverse_factor(matrix, damping, name))


def _inverse_factor(matrix: torch.Tensor, damping: float, name: str) -> torch.Tensor:
    """U with U^T U = (H + damping)^-1; on failure in double precision, then with ten times the damping, and so on."""
    import torch

    mean = float(matrix.diagonal().mean())
    dtype = torch.float32
    while damping <= LARGEST_DAMPING:
        damped = matrix.to(dtype, copy=True)
        damped.diagonal().add_(damping * mean)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not int(failed):
            factor, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not int(failed) and bool(torch.isfinite(factor).all()):
                return factor.float()
        if dtype is torch.float64:
            damping *= 10
        dtype = torch.float64
    raise UserError(
        f"The calibration inputs of {name} depend on each other too much to be solved for.",
        hint="Use more or longer calibration samples, or a higher damping.",
    )


def solve(
    weight: torch.Tensor,
    problem: Problem,
    group_size: int,
    code_range: tuple[int, int],
    find_scales: FindScales,
    static_scales: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Solution:
    """Codes for `weight` float32 [rows, columns] whose groups are `group_size` consecutive columns of the order.

    The scales of a group are found when its first column comes up, from weights that already make up for errors before.
    With `static_scales` ([rows, groups] each) groups are consecutive in the source's order instead, and fixed.
    """
    import torch

    columns, order = weight.shape[1], problem.order
    low, high = code_range
    # Transposed, so that a column is contiguous.
    remaining = weight.T[order].clone(memory_format=torch.contiguous_format)
    codes = torch.empty(remaining.shape, dtype=torch.int8, device=weight.device)
    scales: list[torch.Tensor] = []
    zeros: list[torch.Tensor] = []
    # A block ends where a group does, so that all updates have reached a group when its scale is found.
    whole = group_size >= columns or group_size % BLOCK == 0
    width = BLOCK if whole else group_size * max(1, BLOCK // group_size)
    places = order.tolist()
    for first in range(0, columns, width):
        last = min(first + width, columns)
        now = remaining[first:last]
        errors = torch.empty_like(now)
        inner = problem.factor[first:last, first:last]
        pivots = inner.diagonal().tolist()
        for step in range(last - first):
            if static_scales is not None:
                scale, zero = (part[:, places[first + step] // group_size] for part in static_scales)
            elif (first + step) % group_size == 0:
                scale, zero = find_scales(remaining[first + step : first + step + group_size].T)
                scales.append(scale)
                zeros.append(zero)
            else:
                scale, zero = scales[-1], zeros[-1]
            code = (now[step] / scale).round_().add_(zero).clamp_(low, high)
            codes[first + step] = code.to(torch.int8)
            errors[step] = (now[step] - (code - zero) * scale) / pivots[step]
            if step + 1 < last - first:
                now[step + 1 :].addr_(inner[step, step + 1 :], errors[step], alpha=-1)
        remaining[last:].addmm_(problem.factor[first:last, last:].T, errors, alpha=-1)
    found = static_scales or (torch.stack(scales, dim=1), torch.stack(zeros, dim=1))
    in_order = torch.empty_like(codes)
    in_order[order] = codes
    return Solution(in_order.T.contiguous(), *found)
