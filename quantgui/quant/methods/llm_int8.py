"""LLM.int8(): row-wise absmax int8 weights; columns of activations beyond a threshold are computed in 16 bits.

Dettmers et al. 2022, arXiv:2208.07339. The outlier columns are found at run time from the activations, so the file
holds every weight in int8: code = round(w * 127 / absmax of its row). The library rounds weights to FP16 first, and so
do we.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from quantgui.formats.bitsandbytes import OUTLIER_THRESHOLD, EightBit
from quantgui.quant.calibrated import CALIBRATION
from quantgui.quant.method import Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme

if TYPE_CHECKING:
    import torch

LARGEST_FP16 = 65504.0


class LlmInt8(RowArithmetic):
    """w^ = code * absmax / 127 with one absmax per output row."""

    def __init__(self, scheme: Scheme) -> None:
        pass

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Codes int8 [rows, columns] in -127..127, absmax float32 [rows, 1]."""
        import torch

        half = rows.clamp(-LARGEST_FP16, LARGEST_FP16).half().float()
        absmax = half.abs().amax(dim=1, keepdim=True)
        factor = torch.where(absmax > 0, 127.0 / absmax, 0.0)
        return QuantizedRows((half * factor).round_().to(torch.int8), absmax)

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """code * absmax / 127, in float32."""
        assert quantized.scale is not None
        return quantized.codes.float() * (quantized.scale / 127.0)

    def step(self, quantized: QuantizedRows) -> torch.Tensor | None:
        """absmax / 127."""
        return None if quantized.scale is None else quantized.scale / 127.0


COUNT_OUTLIERS = Parameter(
    "count_outliers",
    "Count outlier channels",
    f"Runs calibration text and tells for each layer how many input channels reach beyond {OUTLIER_THRESHOLD:g}.",
    False,
    shapes_scheme=False,
)


def make(*, count_outliers: bool, **_: ParameterValue) -> Scheme:
    """The LLM.int8() scheme; the weights are the same whether outliers are counted or not."""
    method = "llm_int8_outliers" if count_outliers else "llm_int8"
    return Scheme("LLM.int8", method, "int", 8, EightBit(), Granularity.CHANNEL)


METHOD = Method(
    id="llm_int8",
    title="LLM.int8()",
    rows=(
        SchemeRow(
            "LLM.int8",
            "8-bit integer with 16-bit outliers",
            "8-bit weights; activations that stand out are computed in 16 bits, so quality hardly changes.",
            8,
            "bitsandbytes",
            ("transformers",),
            make,
            (COUNT_OUTLIERS, *(replace(parameter, advanced=True) for parameter in CALIBRATION)),
        ),
    ),
    arithmetic=LlmInt8,
)
