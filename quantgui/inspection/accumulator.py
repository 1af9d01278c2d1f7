"""Error measures of one tensor: float32 sums over blocks of rows, added up in double precision.

MSE = mean (w - w^)^2; SQNR = 10 log10(sum w^2 / sum (w - w^)^2) dB; relative = ||W - W^||_F / ||W||_F;
cosine = <w, w^> / (||w|| ||w^||); kurtosis = E[(w - mean)^4] / var^2 (3 for a normal distribution).
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.inspection.histograms import FixedHistogram, GrowingHistogram
from quantgui.inspection.kernel import prepared
from quantgui.types import ErrorStats, Histogram, UserError

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    import torch

MAX_CHANNELS = 512


class NotFiniteError(UserError):
    """A tensor holds NaN or infinite values."""


@dataclass
class TensorRange:
    """First pass over a tensor: smallest and largest value, and proof that every value is finite."""

    low: float = math.inf
    high: float = -math.inf

    def add(self, rows: torch.Tensor, name: str) -> None:
        """Widens the range by float32 rows. Raises NotFiniteError naming the tensor where a value is not finite."""
        import torch

        low, high = (float(x) for x in torch.aminmax(rows))
        if not (math.isfinite(low) and math.isfinite(high)):
            bad = rows.numel() - int(torch.isfinite(rows).sum())
            kinds = "NaN" if int(torch.isnan(rows).sum()) == bad else "infinite or NaN"
            raise NotFiniteError(
                f"The tensor {name} contains {bad:,} {kinds} value{'' if bad == 1 else 's'} and cannot be quantized.",
                hint="The checkpoint is damaged or its training diverged. "
                "Download it again, or keep this tensor by a rule.",
            )
        self.low, self.high = min(self.low, low), max(self.high, high)


class TensorStatistics:
    """Second pass: feed blocks of original and dequantized rows, then read the results. Parts merge."""

    def __init__(self, whole: TensorRange) -> None:
        self.before = FixedHistogram(whole.low, whole.high)
        self.after = FixedHistogram(whole.low, whole.high)
        self.difference = GrowingHistogram()
        self._unit = _unit(max(abs(whole.low), abs(whole.high)))
        # One growing array each: thousands of small tensors kept between large ones would leave the heap full of holes.
        self._channel_max = array("f")
        self._steps = array("f")
        self.clipped = 0
        self._count = self._zeroed = 0
        self._powers = [0.0, 0.0, 0.0, 0.0]
        self._error_squares = self._dot = self._after_squares = self._largest_error = 0.0

    def add_pair(self, rows: torch.Tensor, dequantized: torch.Tensor, steps: torch.Tensor | None = None) -> None:
        """`add_original` and `add_quantized` in one, by the compiled kernel where it was prepared."""
        fused = prepared()
        if fused is None or self._unit != 1.0 or rows.device.type != "cpu" or dequantized.device.type != "cpu":
            self.add_original(rows)
            self.add_quantized(rows, dequantized, steps)
            return
        self._count += rows.numel()
        self._add_channels(rows)
        self._add_steps(steps)
        self._add_fused(fused, rows.reshape(-1).numpy(), dequantized.reshape(-1).numpy())

    def _add_fused(self, fused: ModuleType, rows: np.ndarray, dequantized: np.ndarray) -> None:
        import numpy as np

        sums = np.zeros(7)
        largest, zeroed = fused.add_moments(rows, dequantized, sums)
        self._powers = [mine + float(new) for mine, new in zip(self._powers, sums[:4], strict=True)]
        self._error_squares += float(sums[4])
        self._dot += float(sums[5])
        self._after_squares += float(sums[6])
        self._largest_error = max(self._largest_error, float(largest))
        self._zeroed += int(zeroed)
        difference = self.difference.reaching(float(largest))
        counts = np.zeros((3, self.before.bins), np.int64)
        places = (np.float32(number) for number in (*self.before.placing, *difference.placing))
        fused.count(rows, dequantized, *places, counts)
        for histogram, new in zip((self.before, self.after, difference), counts, strict=True):
            histogram.counts += new

    def _add_channels(self, rows: torch.Tensor) -> None:
        self._channel_max.frombytes(rows.abs().amax(dim=1).cpu().numpy().tobytes())

    def _add_steps(self, steps: torch.Tensor | None) -> None:
        if steps is not None:
            self._steps.frombytes(steps.float().reshape(-1).cpu().numpy().tobytes())

    def add_original(self, rows: torch.Tensor) -> None:
        """Counts float32 rows [n, columns] of the original: histogram, moments, channel maxima."""
        self._count += rows.numel()
        self.before.add(rows)
        self._add_channels(rows)
        flat = self._scaled(rows)
        square = flat * flat
        for index, power in enumerate((flat.sum(), flat.dot(flat), flat.dot(square), square.dot(square))):
            self._powers[index] += float(power)

    def add_quantized(self, rows: torch.Tensor, dequantized: torch.Tensor, steps: torch.Tensor | None = None) -> None:
        """Counts the error of `dequantized` against `rows`, both float32 [n, columns]."""
        self.after.add(dequantized)
        error = (rows - dequantized).reshape(-1)
        self.difference.add(error)
        self._largest_error = max(self._largest_error, float(error.abs().max()))
        flat, after, error = self._scaled(rows), self._scaled(dequantized), self._scaled(error)
        self._error_squares += float(error.dot(error))
        self._dot += float(flat.dot(after))
        self._after_squares += float(after.dot(after))
        self._zeroed += int(((after == 0) & (flat != 0)).sum())
        self._add_steps(steps)

    def _scaled(self, values: torch.Tensor) -> torch.Tensor:
        """Flat, in units that keep fourth powers within float32; a power of two, so nothing is rounded."""
        flat = values.reshape(-1)
        return flat if self._unit == 1.0 else flat * self._unit

    def merge(self, other: TensorStatistics) -> None:
        """Adds what another thread has counted over the rows that follow."""
        self.before.merge(other.before)
        self.after.merge(other.after)
        self.difference.merge(other.difference)
        self._channel_max += other._channel_max
        self._steps += other._steps
        self.clipped += other.clipped
        self._count += other._count
        self._zeroed += other._zeroed
        self._powers = [mine + theirs for mine, theirs in zip(self._powers, other._powers, strict=True)]
        self._error_squares += other._error_squares
        self._dot += other._dot
        self._after_squares += other._after_squares
        self._largest_error = max(self._largest_error, other._largest_error)

    def error(self) -> ErrorStats:
        """The error measures over everything added."""
        squares = self._powers[1]
        noise = self._error_squares
        both = math.sqrt(squares) * math.sqrt(self._after_squares)
        return ErrorStats(
            mse=noise / self._unit**2 / self._count,
            max_abs=self._largest_error,
            sqnr_db=10 * math.log10(squares / noise) if squares > 0 and noise > 0 else None,
            relative=math.sqrt(noise / squares) if squares > 0 else None,
            cosine=min(1.0, self._dot / both) if both > 0 else None,
            clipped=self.clipped / self._count,
            zeroed=self._zeroed / self._count,
        )

    @property
    def histograms(self) -> tuple[Histogram, Histogram, Histogram]:
        """Before, after (same bins) and difference."""
        return self.before.result(), self.after.result(), self.difference.result()

    @property
    def step(self) -> float | None:
        """The median quantization step, None where there is none."""
        import torch

        return float(torch.frombuffer(self._steps, dtype=torch.float32).median()) if self._steps else None

    @property
    def channel_max(self) -> tuple[float, ...]:
        """max |w| per output channel, max-pooled (a mean would hide outliers) to at most 512 values."""
        import torch

        if not self._channel_max:
            return ()
        channels = torch.frombuffer(self._channel_max, dtype=torch.float32)
        if len(channels) > MAX_CHANNELS:
            channels = torch.nn.functional.adaptive_max_pool1d(channels[None, None], MAX_CHANNELS)[0, 0]
        return tuple(channels.tolist())

    @property
    def kurtosis(self) -> float | None:
        """Fourth standardized moment, None for a constant tensor."""
        first, second, third, fourth = (power / self._count for power in self._powers)
        variance = second - first * first
        if variance <= 1e-12 * second or variance <= 0:
            return None
        central = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
        return central / variance**2


def _unit(largest: float) -> float:
    """1 for weights of usual size, else the power of two that brings the largest one near 1."""
    if largest == 0 or 2.0**-16 <= largest <= 2.0**16:
        return 1.0
    return 2.0 ** -max(-126, min(126, math.frexp(largest)[1]))
