"""Histograms that are filled block by block from torch tensors in the child."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from quantgui.types import Histogram

if TYPE_CHECKING:
    import numpy
    import torch

BINS = 256
SMALLEST_WIDTH = 2.0**-100
"""Narrower ranges cannot be cut into bins: bins per unit would overflow float32."""
SMALLEST_RANGE = 2.0**-40
"""Where a growing histogram starts while every value is still exactly zero."""


class FixedHistogram:
    """Equal bins over a range known beforehand; values outside fall into the edge bins."""

    def __init__(self, low: float, high: float, bins: int = BINS) -> None:
        import numpy as np

        if high - low < SMALLEST_WIDTH:  # a constant tensor: one visible bar in the middle
            half = max(0.5, abs(low) * 2.0**-20)  # beyond 2^53 a half would be lost in rounding
            low, high = low - half, low + half
        self.low, self.high, self.bins = low, high, bins
        self.counts: numpy.ndarray = np.zeros(bins, dtype=np.int64)

    @property
    def placing(self) -> tuple[float, float]:
        """Factor and summand that give a value's bin, before it is rounded down and cut off at the ends."""
        scale = self.bins / (self.high - self.low)
        return scale, -self.low * scale

    def add(self, values: torch.Tensor) -> None:
        """Counts float32 `values` of any shape. numpy counts several times faster than torch.histc."""
        import numpy as np
        import torch

        scale, shift = self.placing
        index = values.reshape(-1).mul(scale).add_(shift).clamp_(0, self.bins - 1).to(torch.int32)
        self.counts += np.bincount(index.cpu().numpy(), minlength=self.bins)

    def merge(self, other: FixedHistogram) -> None:
        """Adds the counts of a histogram over the same range."""
        self.counts += other.counts

    def result(self) -> Histogram:
        """The counts so far."""
        return Histogram(self.low, self.high, tuple(self.counts.tolist()))


class GrowingHistogram:
    """Bins symmetric around zero; the range is a power of two and doubles when a larger value arrives."""

    def __init__(self, bins: int = BINS) -> None:
        self._fixed = FixedHistogram(-SMALLEST_RANGE, SMALLEST_RANGE, bins)

    def add(self, values: torch.Tensor) -> None:
        """Counts float32 `values` of any shape."""
        self.reaching(float(values.abs().max()) if values.numel() else 0.0).add(values)

    def reaching(self, largest: float) -> FixedHistogram:
        """Its bins, wide enough for values up to `largest`, to count into."""
        self._grow(2.0 ** math.ceil(math.log2(largest)) if largest > SMALLEST_RANGE else SMALLEST_RANGE)
        return self._fixed

    def merge(self, other: GrowingHistogram) -> None:
        """Adds the counts of another one, whatever its range."""
        self._grow(other._fixed.high)
        other._grow(self._fixed.high)
        self._fixed.merge(other._fixed)

    def _grow(self, high: float) -> None:
        while self._fixed.high < high:
            old = self._fixed
            self._fixed = FixedHistogram(2 * old.low, 2 * old.high, old.bins)
            quarter = old.bins // 4
            self._fixed.counts[quarter : old.bins - quarter] = old.counts.reshape(-1, 2).sum(axis=1)

    def result(self) -> Histogram:
        """The counts so far."""
        return self._fixed.result()
