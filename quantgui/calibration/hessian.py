"""The second-order matrix of a linear layer's squared output error: H = 2/N X^T X over N calibration tokens.

For W with inputs x, ||x W^T - x W'^T||^2 averaged over the tokens is trace((W - W') H (W - W')^T) / 2 (Frantar et al.
2022, arXiv:2210.17323, section 3.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantgui.types import UserError

if TYPE_CHECKING:
    import torch


class Hessian:
    """Accumulates H [inputs, inputs] in float32, token by token, as a running mean."""

    def __init__(self, features: int, device: torch.device) -> None:
        import torch

        self.matrix = torch.zeros(features, features, dtype=torch.float32, device=device)
        self.tokens = 0

    def add(self, inputs: torch.Tensor) -> None:
        """Adds float32 inputs [tokens, features]."""
        import math

        count = len(inputs)
        total = self.tokens + count
        self.matrix *= self.tokens / total
        scaled = inputs * math.sqrt(2 / total)
        self.matrix.addmm_(scaled.T, scaled)
        self.tokens = total

    def check(self, name: str) -> None:
        """Raises UserError where an element overflowed: the inputs of the layer are too large for float32."""
        import torch

        if not bool(torch.isfinite(self.matrix).all()):
            raise UserError(
                f"The inputs of {name} are too large to be measured: their squares overflow.",
                hint="Keep this layer by a rule, or choose a precision that needs no calibration.",
            )


def output_error(hessian: torch.Tensor, weight: torch.Tensor, changed: torch.Tensor) -> float:
    """Relative squared error of the layer's outputs: |X (W - W')^T|^2 / |X W^T|^2, from H and float32 [rows, inputs].

    0 where both outputs are zero.
    """
    difference = weight - changed
    error = float((difference @ hessian).mul_(difference).sum())
    size = float((weight @ hessian).mul_(weight).sum())
    return max(0.0, error) / size if size > 0 else 0.0
