"""Ternary {-1, 0, 1} and binary {-1, 1} weights with a scale per group, stored as 2-bit codes.

The scale minimises the squared error of its group. Binary: the mean magnitude (Rastegari et al. 2016, "XNOR-Net",
arXiv:1603.05279, section 3.1). Ternary: of all thresholds the one that minimises the error (Li et al. 2016, "Ternary
weight networks", arXiv:1605.04711, approximate it by 0.7 times the mean magnitude; we search).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from quantgui.formats.pack_quantized import PackQuantized
from quantgui.quant.method import Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.quant.methods.round_to_nearest import GROUP_SIZE, RUNTIMES
from quantgui.quant.storage_rounding import rounded_up
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Scheme

if TYPE_CHECKING:
    import torch


class FewLevels(RowArithmetic):
    """w^ = scale * code with codes -1, 0, 1 (ternary) or -1, 1 (binary), one scale per group."""

    def __init__(self, scheme: Scheme) -> None:
        self.ternary = scheme.id == "Ternary"
        assert scheme.group_size is not None
        self.group_size = scheme.group_size

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Codes int8 [rows, columns], scale [rows, groups]. A group of zeros gets scale 1 or the smallest scale."""
        import torch

        grouped = rows.view(len(rows), -1, self.group_size)
        magnitudes = grouped.abs()
        best = _best_ternary_scale(magnitudes) if self.ternary else magnitudes.mean(dim=2)
        scale = rounded_up(best.clamp_(min=torch.finfo(torch.float32).tiny), scale_dtype)
        if self.ternary:
            codes = torch.round(grouped / scale.float().unsqueeze(2)).clamp_(-1, 1)
        else:
            codes = torch.where(grouped < 0, -1.0, 1.0)
        return QuantizedRows(codes.to(torch.int8).view_as(rows), scale)

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """scale * code, in float32."""
        assert quantized.scale is not None
        grouped = quantized.codes.float().view(len(quantized.codes), -1, self.group_size)
        return (grouped * quantized.scale.float().unsqueeze(2)).view(quantized.codes.shape)

    def levels(self, quantized: QuantizedRows) -> tuple[float, ...]:
        """The levels of the median scale."""
        assert quantized.scale is not None
        scale = float(quantized.scale.float().median())
        return (-scale, 0.0, scale) if self.ternary else (-scale, scale)

    def step(self, quantized: QuantizedRows) -> torch.Tensor | None:
        """The scales."""
        return quantized.scale


def _best_ternary_scale(magnitudes: torch.Tensor) -> torch.Tensor:
    """The scale [rows, groups] of least squared error for |w| [rows, groups, elements].

    With the k largest magnitudes at +-scale and the others at 0, the best scale is the mean of those k, and it takes
    (their sum)^2 / k off the squared error. The best k is found by trying all.
    """
    import torch

    sums = magnitudes.sort(dim=2, descending=True).values.cumsum(dim=2)
    counts = torch.arange(1, magnitudes.shape[2] + 1, dtype=sums.dtype, device=sums.device)
    best = (sums.square() / counts).argmax(dim=2, keepdim=True)
    return (sums.gather(2, best) / counts[best]).squeeze(2)


def make(scheme_id: str, *, group_size: int) -> Scheme:
    """The scheme with a scale per `group_size` weights."""
    return Scheme(scheme_id, "ternary", "int", 2, PackQuantized(), group_size=group_size)


METHOD = Method(
    id="ternary",
    title="Ternary and binary",
    rows=(
        SchemeRow(
            "Ternary",
            "Weights -1, 0 and 1",
            "For experiments: on the bundled model perplexity rises from 12 to 46. Takes 2 bits.",
            2,
            "compressed_tensors",
            RUNTIMES,
            partial(make, "Ternary"),
            (GROUP_SIZE,),
        ),
        SchemeRow(
            "Binary",
            "Weights -1 and 1",
            "For experiments: on the bundled model perplexity rises from 12 to 594. Takes 2 bits, as Ternary does.",
            2,
            "compressed_tensors",
            RUNTIMES,
            partial(make, "Binary"),
            (GROUP_SIZE,),
        ),
    ),
    arithmetic=FewLevels,
)
