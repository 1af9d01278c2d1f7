"""The second-order matrix of a linear layer's squared output error: H = 2/N X^T X over N calibration tokens.

For W with inputs x, ||x W^T - x W'^T||^2 averaged over the tokens is trace((W - W') H (W - W')^T) / 2 (Frantar et al.
2022, arXiv:2210.17323, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from quantgui.types import UserError

if TYPE_CHECKING:
    import torch


PANEL = 512
"""Columns at once. H is symmetric: what lies left of a panel's diagonal block need not be computed, which saves nearly
half of the products of wide layers."""


class Hessian:
    """Accumulates H [inputs, inputs] in float32, token by token, as a running mean."""

    def __init__(self, features: int, device: torch.device) -> None:
        import torch

        self._upper = torch.zeros(features, features, dtype=torch.float32, device=device)
        self._mirrored = True
        self.tokens = 0

    def add(self, inputs: torch.Tensor) -> None:
        """Adds float32 inputs [tokens, features]."""
        import math

        count = len(inputs)
        total = self.tokens + count
        scaled = inputs * math.sqrt(2 / total)
        for first, last in _panels(len(self._upper)):
            part = self._upper[first:last, first:]
            part.addmm_(scaled[:, first:last].T, scaled[:, first:], beta=self.tokens / total)
        self.tokens = total
        self._mirrored = False

    @property
    def matrix(self) -> torch.Tensor:
        """H as it is now."""
        if not self._mirrored:
            for first, last in _panels(len(self._upper)):
                self._upper[last:, first:last] = self._upper[first:last, last:].T
            self._mirrored = True
        return self._upper

    def check(self, name: str) -> None:
        """Raises UserError where an element overflowed: the inputs of the layer are too large for float32."""
        import torch

        if not bool(torch.isfinite(self._upper).all()):
            raise UserError(
                f"The inputs of {name} are too large to be measured: their squares overflow.",
                hint="Keep this layer by a rule, or choose a precision that needs no calibration.",
            )


def output_power(hessian: torch.Tensor, weight: torch.Tensor) -> float:
    """The mean over the tokens of 2 |x W^T|^2, which is trace(W H W^T), for a float32 weight [rows, inputs]."""
    total = 0.0
    for first, last in _panels(len(hessian)):
        products = (weight[:, first:last] @ hessian[first:last, first:]).mul_(weight[:, first:])
        width = last - first
        total += float(products[:, :width].sum()) + 2 * float(products[:, width:].sum())
    return max(0.0, total)


def output_error(
    hessian: torch.Tensor, weight: torch.Tensor, changed: torch.Tensor, power: float | None = None
) -> float:
    """Relative squared error of the layer's outputs: |X (W - W')^T|^2 / |X W^T|^2, from H and float32 [rows, inputs].

    0 where both outputs are zero. `power` is that of `weight`, where it is known already.
    """
    size = output_power(hessian, weight) if power is None else power
    return output_power(hessian, weight - changed) / size if size > 0 else 0.0


def _panels(features: int) -> Iterator[tuple[int, int]]:
    """First and one past the last column of each panel."""
    return ((first, min(first + PANEL, features)) for first in range(0, features, PANEL))
