"""Round to nearest: the plain integer quantization everything else is measured against.

Symmetric (absmax): w^ = scale * q. At 8 bits scale = absmax / 127, as LLM.int8() and most runtimes define it; below
8 bits scale = absmax / ((2^b - 1) / 2), as compressed-tensors defines it: all codes -2^(b-1) .. 2^(b-1) - 1 are used.
Asymmetric (min-max): w^ = scale * (q - zero_point) with scale = (max - min) / (2^b - 1), the range widened to include
zero, and an integer zero-point as the formats store it (Jacob et al. 2018, arXiv:1712.05877, section 2.1).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from quantgui.formats.int_quantized import IntQuantized
from quantgui.formats.pack_quantized import PackQuantized
from quantgui.quant.method import Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.quant.storage_rounding import rounded_up
from quantgui.schemes.parameters import Parameter
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme

if TYPE_CHECKING:
    import torch

RUNTIMES = ("vLLM", "transformers")
MAX_TICK_LEVELS = 16


def code_range(bits: int) -> tuple[int, int]:
    """Smallest and largest signed code: (-8, 7) for 4 bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


class RoundToNearest(RowArithmetic):
    """Integer codes with one scale (and zero-point) per tensor, channel or group."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self.low, self.high = code_range(scheme.bits)
        self.needs_range = scheme.granularity is Granularity.TENSOR

    def _grouped(self, rows: torch.Tensor) -> torch.Tensor:
        """A view [rows, groups, elements of a group]; a scale per channel or tensor is one group."""
        size = self.scheme.group_size if self.scheme.granularity is Granularity.GROUP else rows.shape[1]
        return rows.view(rows.shape[0], -1, size or rows.shape[1])

    def _scales(
        self, grouped: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Scales [rows or 1, groups] in `scale_dtype` and int8 zero-points, for grouped float32 rows."""
        import torch

        if self.needs_range:
            assert whole is not None
            low = grouped.new_full((1, 1), min(whole.low, 0.0))
            high = grouped.new_full((1, 1), max(whole.high, 0.0))
        else:
            low, high = torch.aminmax(grouped, dim=2)
            low, high = low.clamp_(max=0.0), high.clamp_(min=0.0)
        return self.scales_of_range(low, high, scale_dtype)

    def scales_of_range(
        self, low: torch.Tensor, high: torch.Tensor, scale_dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Scales in `scale_dtype` and int8 zero-points for groups that reach from `low` <= 0 to `high` >= 0."""
        import torch

        if self.scheme.symmetric:
            absmax = torch.maximum(high, -low)
            steps = 127.0 if self.scheme.bits == 8 else (2**self.scheme.bits - 1) / 2
        else:
            absmax = high - low
            steps = float(2**self.scheme.bits - 1)
        # An all-zero group gets scale 1 (its codes are zeros). Rounding up keeps a scale from underflowing to 0.
        smallest = torch.finfo(torch.float32).tiny
        scale = rounded_up(torch.where(absmax > 0, (absmax / steps).clamp_(min=smallest), 1.0), scale_dtype)
        if self.scheme.symmetric:
            return scale, None
        # From the exact range rather than from the rounded scale, so that ties fall as on paper (127.5 -> 128).
        zero_point = (self.low - (low * steps / absmax.clamp(min=smallest)).round_()).clamp_(self.low, self.high)
        return scale, zero_point.to(torch.int8)

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Codes int8 in the signed range of `bits`, nearest level, ties to even."""
        import torch

        grouped = self._grouped(rows)
        scale, zero_point = self._scales(grouped, scale_dtype, whole)
        codes = (grouped / scale.float().unsqueeze(2)).round_()
        if zero_point is not None:
            codes += zero_point.unsqueeze(2)
        codes = codes.clamp_(self.low, self.high).to(torch.int8)
        return QuantizedRows(codes.view_as(rows), scale, zero_point)

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """scale * (code - zero_point), in float32."""
        assert quantized.scale is not None
        values = self._grouped(quantized.codes.float())
        if quantized.zero_point is not None:
            values -= quantized.zero_point.unsqueeze(2)
        values *= quantized.scale.float().unsqueeze(2)
        return values.view(quantized.codes.shape)

    def count_clipped(self, rows: torch.Tensor, quantized: QuantizedRows) -> int:
        """Elements more than half a step outside the codes' range."""
        assert quantized.scale is not None
        exact = self._grouped(rows) / quantized.scale.float().unsqueeze(2)
        if quantized.zero_point is not None:
            exact += quantized.zero_point.unsqueeze(2)
        # The tolerance keeps rounding noise of the division from counting as overflow.
        return int(((exact < self.low - 0.5001) | (exact > self.high + 0.5001)).sum())

    def levels(self, quantized: QuantizedRows) -> tuple[float, ...]:
        """The levels of the median scale and zero-point, for few bits only."""
        assert quantized.scale is not None
        if 2**self.scheme.bits > MAX_TICK_LEVELS:
            return ()
        scale = float(quantized.scale.float().median())
        zero = float(quantized.zero_point.float().median()) if quantized.zero_point is not None else 0.0
        return tuple(scale * (code - zero) for code in range(self.low, self.high + 1))

    def step(self, quantized: QuantizedRows) -> torch.Tensor | None:
        """The scales."""
        return quantized.scale


GRANULARITY = Parameter(
    "granularity",
    "One scale per",
    "How many weights share a scale: fewer means smaller errors and a slightly larger file.",
    "group",
    choices=("group", "channel", "tensor"),
    choice_titles=("Group", "Output channel", "Tensor"),
)
GROUP_SIZE = Parameter(
    "group_size",
    "Group size",
    "Consecutive weights that share one scale. It must divide the layer's input width.",
    128,
    choices=(32, 64, 128, 256),
    minimum=1,
    maximum=65536,
)
SYMMETRIC = Parameter(
    "symmetric",
    "Symmetric",
    "Symmetric codes need no zero-point and run fastest; asymmetric ones follow skewed weights more closely.",
    True,
)


def make(scheme_id: str, bits: int, *, granularity: str, group_size: int, symmetric: bool) -> Scheme:
    """The integer scheme of these settings. One byte per weight is `int-quantized`, everything else is packed."""
    grain = Granularity(granularity)
    by_byte = bits == 8 and grain is not Granularity.GROUP
    return Scheme(
        id=scheme_id,
        method="round_to_nearest",
        number="int",
        bits=bits,
        storage=IntQuantized() if by_byte else PackQuantized(),
        granularity=grain,
        group_size=group_size if grain is Granularity.GROUP else None,
        symmetric=symmetric,
    )


def _row(bits: int, summary: str, granularity: str = "group", group_size: int = 128) -> SchemeRow:
    return SchemeRow(
        id=f"INT{bits}",
        title=f"{bits}-bit integer",
        summary=summary,
        bits=bits,
        format="compressed_tensors",
        runtimes=RUNTIMES,
        make=partial(make, f"INT{bits}", bits),
        parameters=(replace(GRANULARITY, default=granularity), replace(GROUP_SIZE, default=group_size), SYMMETRIC),
    )


METHOD = Method(
    id="round_to_nearest",
    title="Round to nearest",
    rows=(
        _row(8, "Half of 16 bits; quality is hardly touched.", granularity="channel"),
        _row(4, "About a quarter of 16 bits; the usual choice for a small GPU."),
        _row(3, "Smaller than 4 bits; the loss is visible without calibration."),
        _row(2, "An eighth of 16 bits; expect a broken model: on the bundled one perplexity rises from 12 to 74."),
    ),
    arithmetic=RoundToNearest,
)
