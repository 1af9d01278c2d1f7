"""What a method produces and a storage lays out: some rows of a quantized weight, as torch tensors in the child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass
class QuantizedRows:
    """Codes [rows, columns]: signed int8 for integers, float8 or a plain float dtype otherwise.

    `scale` [rows or 1, groups] in the dtype it is stored in, `zero_point` likewise as int8; both None for casts.
    """

    codes: torch.Tensor
    scale: torch.Tensor | None = None
    zero_point: torch.Tensor | None = None


@dataclass
class EncodedPart:
    """Bytes of a stored part: `data` goes to `offset` bytes after the start of the part with this suffix."""

    suffix: str
    offset: int
    data: torch.Tensor
