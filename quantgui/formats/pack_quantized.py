"""compressed-tensors `pack-quantized`: integers of 2 to 8 bits, packed densely into 32-bit words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.formats.bit_packing import pack_rows, unpack_rows
from quantgui.formats.compressed_layout import CompressedLayout
from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme, StoredPart
from quantgui.types import ModelConfig, TensorInfo

if TYPE_CHECKING:
    import torch


DENSE_INIT_MODEL_TYPES = frozenset(
    {"falcon", "falcon_mamba", "longt5", "mamba", "mamba2", "mt5", "pix2struct", "pop2piano", "recurrent_gemma"}
    | {"switch_transformers", "t5", "udop", "umt5"}
)
"""Architectures whose initialization in transformers reads `weight` of a linear layer, which packed layers lack."""


@dataclass(frozen=True, slots=True)
class PackQuantized(CompressedLayout):
    """`pack-quantized`: codes of 2 to 8 bits packed densely into int32 along the columns."""

    format: str = "compressed_tensors"
    library_name: str = "pack-quantized"

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Besides what no layout holds: families that transformers cannot load packed."""
        if config is not None and config.model_type in DENSE_INIT_MODEL_TYPES:
            return f"transformers cannot load packed weights of {config.model_type}; FP8 and INT8 without groups work"
        return CompressedLayout.objection(self, scheme, tensor, config)

    def holds_experts(self, scheme: Scheme) -> bool:
        """Symmetric codes only: the library's joining knows no zero-points."""
        return scheme.symmetric

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """Packed codes, scales, the true shape, and packed zero-points where asymmetric."""
        rows, columns = shape
        scale = self.scale_part(scheme, shape, dtype)
        parts = [
            StoredPart("weight_packed", "I32", (rows, math.ceil(columns * scheme.bits / 32))),
            scale,
            StoredPart("weight_shape", "I64", (2,)),
        ]
        if not scheme.symmetric:
            parts.append(self._zero_point(scheme, scale.shape))
        return tuple(parts)

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """Packed codes and scales of these rows; zero-points are packed along the rows."""
        import torch

        offset = 1 << (scheme.bits - 1)
        packed = pack_rows(quantized.codes.to(torch.int16) + offset, scheme.bits)
        parts = [EncodedPart("weight_packed", first_row * packed.shape[1] * 4, packed)]
        if first_row == 0:
            parts.append(EncodedPart("weight_shape", 0, torch.tensor(shape, dtype=torch.int64)))
        parts += self.encode_scale(scheme, quantized, first_row)
        if quantized.zero_point is not None:
            parts += self._encode_zero_point(scheme, quantized.zero_point, first_row)
        return parts

    def _zero_point(self, scheme: Scheme, scale_shape: tuple[int, ...]) -> StoredPart:
        if scheme.granularity is Granularity.TENSOR:  # the library packs zero-points of channels and groups only
            return StoredPart("weight_zero_point", "I8", (1,))
        return StoredPart("weight_zero_point", "I32", (math.ceil(scale_shape[0] * scheme.bits / 32), scale_shape[1]))

    def _encode_zero_point(self, scheme: Scheme, zero_point: torch.Tensor, first_row: int) -> list[EncodedPart]:
        import torch

        if scheme.granularity is Granularity.TENSOR:
            return [EncodedPart("weight_zero_point", 0, zero_point)] if first_row == 0 else []
        offset = 1 << (scheme.bits - 1)
        words = pack_rows((zero_point.to(torch.int16) + offset).T, scheme.bits).T.contiguous()
        return [EncodedPart("weight_zero_point", first_row * scheme.bits // 32 * words.shape[1] * 4, words)]

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """Signed codes, scales and zero-points of the whole weight."""
        import torch

        rows, columns = shape
        offset = 1 << (scheme.bits - 1)
        codes = (unpack_rows(stored["weight_packed"], scheme.bits, columns).to(torch.int16) - offset).to(torch.int8)
        zeros = None
        if not scheme.symmetric and scheme.granularity is Granularity.TENSOR:
            zeros = stored["weight_zero_point"].view(1, 1)
        elif not scheme.symmetric:
            unpacked = unpack_rows(stored["weight_zero_point"].T.contiguous(), scheme.bits, rows).T
            zeros = (unpacked.to(torch.int16) - offset).to(torch.int8).contiguous()
        return QuantizedRows(codes, self.decode_scale(scheme, stored), zeros)
