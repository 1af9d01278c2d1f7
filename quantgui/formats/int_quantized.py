"""compressed-tensors `int-quantized`: one signed byte per weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.formats.compressed_layout import CompressedLayout
from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme, StoredPart

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class IntQuantized(CompressedLayout):
    """`int-quantized`: one int8 per weight, a scale per tensor or output channel."""

    format: str = "compressed_tensors"
    library_name: str = "int-quantized"

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """Codes, scales, and int8 zero-points where asymmetric."""
        scales = self.scale_parts(scheme, shape, dtype)
        zeros = () if scheme.symmetric else (StoredPart("weight_zero_point", "I8", scales[0].shape),)
        return (StoredPart("weight", "I8", shape), *scales, *zeros)

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """Codes, scales and zero-points of these rows."""
        parts = [EncodedPart("weight", first_row * shape[1], quantized.codes)]
        parts += self.encode_scale(scheme, quantized, first_row)
        if quantized.zero_point is not None and (first_row == 0 or scheme.granularity is not Granularity.TENSOR):
            parts.append(EncodedPart("weight_zero_point", first_row, quantized.zero_point))
        return parts

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """Codes, scales and zero-points of the whole weight."""
        scale = self.decode_scale(scheme, stored)
        zeros = None if scheme.symmetric else stored["weight_zero_point"].view(scale.shape)
        return QuantizedRows(stored["weight"], scale, zeros, input_scale=stored.get("input_scale"))
