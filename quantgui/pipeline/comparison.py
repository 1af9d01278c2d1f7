"""Weights against weights: what the library reloads against ours, and ours against the source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantgui.pipeline.library_model import in_float32
from quantgui.types import ErrorStats

if TYPE_CHECKING:
    import torch

CHUNK = 1 << 22
MSE_TOLERANCE = 1e-3
"""Relative; the mean is summed in another order than while quantizing. The largest error must agree to seven digits."""

LOGITS_TOLERANCE = 0.01
"""Relative. The simulation rounds as the library does; measured are 0 to 0.0002."""


@dataclass
class Comparison:
    """What has been compared so far."""

    compared: int = 0
    not_found: tuple[str, ...] = ()
    worst: float = 0.0
    worst_tensor: str = ""
    failures: tuple[str, ...] = ()
    finite: bool = True
    logits_error: float | None = None  # relative, against the simulated model; None where there is none

    def add(self, name: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
        """Compares one weight, element by element, as the library holds it and as we read it; shapes are equal.

        The library multiplies code and scale in the storage dtype, which rounds once: one epsilon of every element.
        """
        import torch

        self.compared += 1
        kind = torch.finfo(theirs.dtype)
        epsilon = max(kind.eps, torch.finfo(torch.float32).eps)
        limit = difference = 0.0
        wrong = 0
        for mine, other in _chunks(ours, theirs):
            self.finite = self.finite and bool(torch.isfinite(mine).all())
            distance = (mine - other).abs()
            same = (mine == other) | (mine.isnan() & other.isnan())
            wrong += int((~same & ~(distance <= epsilon * mine.abs() + kind.eps * kind.tiny)).sum())
            limit = max(limit, float(mine.abs().max()))
            difference = max(difference, float(distance.masked_fill(same, 0).max()))
        relative = difference / limit if limit else difference
        if relative >= self.worst:
            self.worst, self.worst_tensor = relative, name
        if wrong:
            self.failures += (f"{wrong:,} weights of {name} differ, by up to {relative:.3g} of the largest",)

    def add_source(self, name: str, original: torch.Tensor, ours: torch.Tensor, expected: ErrorStats | None) -> None:
        """Compares our dequantized weight with the source: kept ones are equal, others as far off as was counted."""
        largest = squares = 0.0
        for before, after in _chunks(original, ours):
            same = (before == after) | (before.isnan() & after.isnan())
            error = (before - after).masked_fill(same, 0).double()
            largest = max(largest, float(error.abs().max()))
            squares += float(error.dot(error))
        if expected is None:
            if largest:
                self.failures += (f"{name} was kept and is not what the source holds",)
            return
        mean = squares / original.numel()
        if not (
            math.isclose(largest, expected.max_abs, rel_tol=1e-6)
            and math.isclose(mean, expected.mse, rel_tol=MSE_TOLERANCE, abs_tol=1e-9 * largest**2)
        ):
            self.failures += (
                f"{name} is off by up to {largest:.6g} (mean square {mean:.6g}) instead of "
                f"{expected.max_abs:.6g} ({expected.mse:.6g})",
            )


def compare_logits(comparison: Comparison, model: Any, ids: torch.Tensor, expected: torch.Tensor) -> None:
    """The reloaded model's logits against those of the model that calibration simulated with our own weights.

    They differ by the order of additions, and by the 16 bits in which some kernels multiply.
    """
    import torch

    with torch.no_grad():
        output = in_float32(model)(input_ids=ids.unsqueeze(0))
    logits = next(value for value in output.values() if isinstance(value, torch.Tensor))[0][: len(expected)].float()
    comparison.logits_error = float((logits - expected).norm() / expected.norm().clamp(min=1e-30))
    if not comparison.logits_error <= LOGITS_TOLERANCE:
        comparison.failures += (
            f"its logits are off by {comparison.logits_error:.2%} from those of the model that was calibrated",
        )


def _chunks(first: torch.Tensor, second: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Both tensors flat, in float32, a few MiB at a time."""
    one, other = first.reshape(-1), second.reshape(-1)
    for start in range(0, one.numel(), CHUNK):
        yield one[start : start + CHUNK].float(), other[start : start + CHUNK].float()
