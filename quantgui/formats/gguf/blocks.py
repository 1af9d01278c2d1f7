"""The storage of one GGUF tensor as a Scheme knows it: rows of ggml's blocks, as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.formats.gguf.tensor_size import tensor_nbytes
from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.schemes.scheme import Scheme, StoredPart
from quantgui.types import ModelConfig, TensorInfo

if TYPE_CHECKING:
    import torch

FORMAT = "gguf"


@dataclass(frozen=True, slots=True)
class GgmlBlocks:
    """A tensor in one ggml type. Codes are the blocks themselves: uint8 [rows, bytes per row]."""

    type_name: str
    format: str = FORMAT

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """One tensor of bytes. Raises ValueError where rows do not fill whole blocks."""
        *rows, row = shape or (1,)
        return (StoredPart("", "U8", (*rows, tensor_nbytes((row,), self.type_name))),)

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """None: the type plan has chosen a type that holds the tensor."""
        return ""

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """The blocks as they are."""
        return [EncodedPart("", first_row * quantized.codes.shape[1], quantized.codes)]

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """The blocks as they are."""
        return QuantizedRows(stored[""].reshape(-1, tensor_nbytes(shape[-1:], self.type_name)))
