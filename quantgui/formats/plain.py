"""Plain safetensors: a tensor in a float dtype of its own, no scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.schemes.scheme import DTYPE_BYTES, Scheme, StoredPart
from quantgui.types import ModelConfig, TensorInfo

if TYPE_CHECKING:
    import torch

FLOAT_DTYPES = frozenset({"F64", "F32", "F16", "BF16"})
"""Safetensors dtypes that hold weights as plain floats."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The tensor itself, cast to `dtype`."""

    dtype: str
    format: str = "plain"

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """One tensor under its own name."""
        return (StoredPart("", self.dtype, shape),)

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Only float tensors are cast; integers (position ids, packed codes) stay what they are."""
        return "" if tensor.dtype in FLOAT_DTYPES else f"{tensor.dtype} is not a float type"

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """The values as they are."""
        return [EncodedPart("", first_row * shape[-1] * DTYPE_BYTES[self.dtype], quantized.codes)]

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """The values as they are."""
        return QuantizedRows(stored[""])
