"""FP8: 8-bit floats (e4m3fn: 4 exponent bits, 3 mantissa bits, largest value 448) with a scale per tensor or channel.

Format as defined by Micikevicius et al. 2022, "FP8 formats for deep learning" (arXiv:2209.05433).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantgui.formats.compressed_tensors import FloatQuantized
from quantgui.quant.method import Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.quant.storage_rounding import rounded_up
from quantgui.schemes.parameters import Parameter
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme

if TYPE_CHECKING:
    import torch

LARGEST = 448.0  # torch.finfo(torch.float8_e4m3fn).max


class Float8(RowArithmetic):
    """w^ = scale * e4m3(w / scale) with scale = absmax / 448."""

    def __init__(self, scheme: Scheme) -> None:
        self.needs_range = scheme.granularity is Granularity.TENSOR

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Codes float8_e4m3fn [rows, columns], scale [rows or 1, 1]."""
        import torch

        if self.needs_range:
            assert whole is not None
            absmax = rows.new_full((1, 1), max(whole.high, -whole.low))
        else:
            absmax = rows.abs().amax(dim=1, keepdim=True)
        smallest = torch.finfo(torch.float32).tiny
        scale = rounded_up(torch.where(absmax > 0, (absmax / LARGEST).clamp_(min=smallest), 1.0), scale_dtype)
        # Clamped because a value beyond 448 becomes NaN in e4m3fn, and the division itself may round up to there.
        codes = (rows / scale.float()).clamp_(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
        return QuantizedRows(codes, scale)

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """scale * code, in float32."""
        assert quantized.scale is not None
        return quantized.codes.float() * quantized.scale.float()


def make(*, granularity: str) -> Scheme:
    """The FP8 scheme with a scale per "channel" or "tensor"."""
    return Scheme("FP8", "float8", "float", 8, FloatQuantized(), Granularity(granularity))


METHOD = Method(
    id="float8",
    title="8-bit float",
    rows=(
        SchemeRow(
            id="FP8",
            title="8-bit float (e4m3)",
            summary="Half of 16 bits; runs at full speed on recent NVIDIA and AMD cards.",
            bits=8,
            format="compressed_tensors",
            runtimes=("vLLM", "transformers"),
            make=make,
            parameters=(
                Parameter(
                    "granularity",
                    "One scale per",
                    "A scale per output channel follows the weights more closely than one per tensor.",
                    "channel",
                    choices=("channel", "tensor"),
                    choice_titles=("Output channel", "Tensor"),
                ),
            ),
        ),
    ),
    arithmetic=Float8,
)
