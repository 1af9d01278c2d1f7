"""What a method produces and a storage lays out: some rows of a quantized weight, as torch tensors in the child."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NestedScale:
    """Scales stored in 8 bits: scale i = codebook[code i] * absmax[i // block] + offset, for the whole weight."""

    absmax: torch.Tensor  # float32 [blocks of scales]
    codebook: torch.Tensor  # float32 [256], ascending
    offset: float
    first: int = 0  # index in the weight of the first code that goes with this

    def starting_at(self, first: int) -> NestedScale:
        """The same for codes that begin at the weight's scale number `first`."""
        return replace(self, first=first)

    def values(self, codes: torch.Tensor, block: int) -> torch.Tensor:
        """The float32 scales of uint8 codes [n], `block` of which share an absmax."""
        import torch

        index = torch.arange(self.first, self.first + len(codes)) // block
        return self.codebook[codes.long()] * self.absmax[index] + self.offset


@dataclass
class QuantizedRows:
    """Codes [rows, columns]: signed int8 for integers, float8 or a plain float dtype otherwise.

    `scale` [rows or 1, groups] in the dtype it is stored in, `zero_point` likewise as int8; both None for casts.
    One scale may also serve several rows: then `scale` has a row per block of rows. `nested` says how to read scales
    that are quantized themselves, `input_scale` is the scale [1] of the layer's inputs where calibration found one.
    `group_index` int32 [columns] says which scale a column has, None where groups are consecutive columns.
    """

    codes: torch.Tensor
    scale: torch.Tensor | None = None
    zero_point: torch.Tensor | None = None
    nested: NestedScale | None = None
    input_scale: torch.Tensor | None = None
    group_index: torch.Tensor | None = None

    def rows(self, first: int, count: int) -> QuantizedRows:
        """Some rows of a weight that has a scale per row, or one for all."""

        def part(values: torch.Tensor | None) -> torch.Tensor | None:
            return values if values is None or len(values) == 1 else values[first : first + count]

        codes = self.codes[first : first + count]
        return replace(self, codes=codes, scale=part(self.scale), zero_point=part(self.zero_point))


@dataclass
class EncodedPart:
    """Bytes of a stored part: `data` goes to `offset` bytes after the start of the part with this suffix."""

    suffix: str
    offset: int
    data: torch.Tensor
