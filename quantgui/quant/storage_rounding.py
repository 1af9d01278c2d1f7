"""Rounding scales to the dtype they are stored in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def rounded_up(scale: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Positive float32 scales in `dtype`, never smaller than they were: one rounded down would clip its largest weight.

    What is too small for `dtype` becomes its smallest subnormal number, never 0.
    """
    import torch

    stored = scale.to(dtype)
    if dtype.itemsize != 2:  # float32 and wider hold a float32 exactly
        return stored
    # The bits of a positive float are ordered as its value, subnormals included: the next integer is the next float.
    above = (stored.view(torch.int16) + 1).view(dtype)
    return torch.where(stored.float() < scale, above, stored)
