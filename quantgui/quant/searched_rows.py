"""What searches look at: some outputs of a layer instead of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SEARCH_ROWS = 512
"""Outputs of a layer, at least, by which candidates are compared. All outputs see the same inputs, so a few hundred of
many thousands tell which candidates are good."""


def some_rows(weight: torch.Tensor) -> torch.Tensor:
    """Evenly spread rows of [outputs, ...], as a view: all of a small layer, else up to twice SEARCH_ROWS."""
    return weight[:: max(1, len(weight) // SEARCH_ROWS)]
