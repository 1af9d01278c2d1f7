"""FP8: 8-bit floats (e4m3fn: 4 exponent bits, 3 mantissa bits, largest value 448) with scales.

Format as defined by Micikevicius et al. 2022, "FP8 formats for deep learning" (arXiv:2209.05433); scales of 128x128
blocks as introduced by DeepSeek-V3 (arXiv:2412.19437, section 3.3.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from quantgui.formats.float_quantized import FloatQuantized
from quantgui.quant.calibrated import CALIBRATION
from quantgui.quant.method import Kind, Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.quant.storage_rounding import rounded_up
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Activations, Granularity, Scheme

if TYPE_CHECKING:
    import torch

LARGEST = 448.0  # torch.finfo(torch.float8_e4m3fn).max
BLOCK = 128
"""Rows and columns of a block, and inputs that share a scale beside blocks: what vLLM's kernels are built for."""


class Float8(RowArithmetic):
    """w^ = scale * e4m3(w / scale) with scale = absmax / 448."""

    def __init__(self, scheme: Scheme) -> None:
        self.granularity = scheme.granularity
        self.needs_range = scheme.granularity is Granularity.TENSOR
        self.row_multiple = BLOCK if scheme.granularity is Granularity.BLOCK else 1

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Codes float8_e4m3fn [rows, columns]; scale [rows or 1, 1], or [blocks of rows, blocks of columns]."""
        import torch

        if self.needs_range:
            assert whole is not None
            absmax = rows.new_full((1, 1), max(whole.high, -whole.low))
        elif self.granularity is Granularity.BLOCK:
            absmax = _block_absmax(rows)
        else:
            absmax = rows.abs().amax(dim=1, keepdim=True)
        smallest = torch.finfo(torch.float32).tiny
        scale = rounded_up(torch.where(absmax > 0, (absmax / LARGEST).clamp_(min=smallest), 1.0), scale_dtype)
        # Clamped because a value beyond 448 becomes NaN in e4m3fn, and the division itself may round up to there.
        codes = (rows / self._per_row(scale, rows)).clamp_(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
        return QuantizedRows(codes, scale)

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """scale * code, in float32."""
        assert quantized.scale is not None
        return quantized.codes.float() * self._per_row(quantized.scale, quantized.codes)

    def _per_row(self, scale: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Float32 scales that broadcast over `rows`."""
        if self.granularity is not Granularity.BLOCK:
            return scale.float()
        return scale.float().repeat_interleave(BLOCK, 0)[: len(rows)].repeat_interleave(BLOCK, 1)


def _block_absmax(rows: torch.Tensor) -> torch.Tensor:
    """The largest magnitude of every block, [blocks of rows, blocks of columns]; the last rows may fill half a one."""
    import torch

    by_column = rows.abs().view(len(rows), -1, BLOCK).amax(dim=2)
    padded = torch.nn.functional.pad(by_column, (0, 0, 0, -len(rows) % BLOCK))
    return padded.view(-1, BLOCK, by_column.shape[1]).amax(dim=1)


def make(*, granularity: str, activations: str, **_: ParameterValue) -> Scheme:
    """The FP8 scheme with a scale per "channel", "tensor" or "block"; activations "none", "dynamic" or "static".

    Kernels for blocks know activations per token only, so that is what "static" means there.
    """
    grain = Granularity(granularity)
    block = BLOCK if grain is Granularity.BLOCK else None
    static = activations == "static" and block is None
    return Scheme(
        "FP8",
        "static_activations" if static else "float8",
        "float",
        8,
        FloatQuantized(),
        grain,
        group_size=block,
        activations=None if activations == "none" else Activations("float", dynamic=not static, group_size=block),
    )


METHOD = Method(
    id="float8",
    title="8-bit floating point",
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
                    choices=("channel", "tensor", "block"),
                    choice_titles=("Output channel", "Tensor", "Block of 128 x 128"),
                ),
                Parameter(
                    "activations",
                    "Activations",
                    "Their scale: found per token while the model runs, or one per layer from calibration text.",
                    "dynamic",
                    choices=("dynamic", "static", "none"),
                    choice_titles=("A scale per token", "One scale per layer", "As they are"),
                ),
                *(replace(parameter, advanced=True) for parameter in CALIBRATION),
            ),
        ),
    ),
    arithmetic=Float8,
    kind=Kind.FLOAT,
)
