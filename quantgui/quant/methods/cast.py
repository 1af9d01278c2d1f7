"""Casts: every float tensor in another plain float type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantgui.formats.plain import Plain
from quantgui.quant.method import Kind, Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme

if TYPE_CHECKING:
    import torch

RUNTIMES = ("transformers", "vLLM", "llama.cpp (after conversion)")


def _scheme(scheme_id: str, dtype: str, bits: int) -> Scheme:
    return Scheme(scheme_id, "cast", "cast", bits, Plain(dtype), Granularity.TENSOR, whole_model=True)


def _fp32() -> Scheme:
    return _scheme("FP32", "F32", 32)


def _fp16() -> Scheme:
    return _scheme("FP16", "F16", 16)


def _bf16() -> Scheme:
    return _scheme("BF16", "BF16", 16)


class Cast(RowArithmetic):
    """Rounds to the nearest value of a plain float dtype."""

    def __init__(self, scheme: Scheme) -> None:
        import torch

        assert isinstance(scheme.storage, Plain)
        self.dtype = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[scheme.storage.dtype]

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Values beyond the dtype's range saturate at its largest finite value; `count_clipped` counts them."""
        import torch

        limit = torch.finfo(self.dtype).max
        return QuantizedRows(rows.clamp(-limit, limit).to(self.dtype))

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """The same numbers as float32."""
        return quantized.codes.float()

    def count_clipped(self, rows: torch.Tensor, quantized: QuantizedRows) -> int:
        """Elements beyond the dtype's largest finite value."""
        import torch

        return int((rows.abs() > torch.finfo(self.dtype).max).sum())


METHOD = Method(
    id="cast",
    title="Plain float types",
    rows=(
        SchemeRow(
            "FP32", "32-bit float", "Full precision, for research and as a reference.", 32, "plain", RUNTIMES, _fp32
        ),
        SchemeRow(
            "FP16", "16-bit float", "Half the size of FP32; what most GPUs compute in.", 16, "plain", RUNTIMES, _fp16
        ),
        SchemeRow(
            "BF16",
            "bfloat16",
            "16 bits with FP32's range; what most models are trained in.",
            16,
            "plain",
            RUNTIMES,
            _bf16,
        ),
    ),
    arithmetic=Cast,
    kind=Kind.PLAIN,
)
