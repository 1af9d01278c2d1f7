"""Bytes of a GGUF tensor: whole blocks in every row, every tensor padded to the alignment."""

from __future__ import annotations

import math
from functools import lru_cache

from quantgui.schemes.ggml_types import BY_NAME

ALIGNMENT = 32
"""GGUF's default: the data begins, and each tensor in it, at a multiple of this many bytes."""


def padded(nbytes: int) -> int:
    """Rounded up to the alignment."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


@lru_cache(maxsize=2**12)
def tensor_nbytes(shape: tuple[int, ...], type_name: str) -> int:
    """Bytes of one tensor, without padding. Rows must fill whole blocks; raises ValueError where they do not."""
    *rows, row = shape or (1,)  # ggml stores a scalar as one element
    return math.prod(rows) * BY_NAME[type_name].nbytes(row)
