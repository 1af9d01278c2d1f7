"""compressed-tensors `float-quantized`: one FP8 number (e4m3) per weight."""

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
class FloatQuantized(CompressedLayout):
    """`float-quantized`: FP8 (e4m3) weights with a scale per tensor, output channel or 128x128 block."""

    format: str = "compressed_tensors"
    library_name: str = "float-quantized"

    def holds_experts(self, scheme: Scheme) -> bool:
        """The library multiplies an expert's codes by its scales as they are: no blocks, and no scale of the inputs."""
        return scheme.granularity is not Granularity.BLOCK and (
            scheme.activations is None or scheme.activations.dynamic
        )

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """FP8 weights and scales."""
        return (StoredPart("weight", "F8_E4M3", shape), *self.scale_parts(scheme, shape, dtype))

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """FP8 codes and scales of these rows."""
        codes = EncodedPart("weight", first_row * shape[1], quantized.codes)
        return [codes, *self.encode_scale(scheme, quantized, first_row)]

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """FP8 codes and scales of the whole weight."""
        scale = self.decode_scale(scheme, stored)
        return QuantizedRows(stored["weight"], scale, input_scale=stored.get("input_scale"))
