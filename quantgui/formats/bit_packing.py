"""Dense packing of small integers into int32 words, least significant bits first (compressed-tensors' layout)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCK = 32
"""Codes that fill a whole number of words at any width: 32 codes of b bits are exactly b words."""


def pack_rows(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Packs unsigned codes [rows, columns], any integer dtype, into int32 [rows, ceil(columns * bits / 32)].

    Code i of a row occupies bits [i*bits, (i+1)*bits) of the row's word stream; codes may straddle two words.
    """
    words = math.ceil(codes.shape[1] * bits / 32)
    if 8 % bits == 0:
        return _pack_within_bytes(codes, bits, words)
    return _pack_across_bytes(codes, bits, words)


def _pack_across_bytes(codes: torch.Tensor, bits: int, words: int) -> torch.Tensor:
    """Codes of 3, 5, 6 or 7 bits: eight codes fill exactly `bits` bytes, gathered in one 64-bit integer."""
    import torch

    rows, columns = codes.shape
    padded = torch.nn.functional.pad(codes.to(torch.int64), (0, -columns % BLOCK))
    octets = padded.reshape(rows, -1, 8)
    gathered = octets[:, :, 0].clone(memory_format=torch.contiguous_format)
    for index in range(1, 8):
        gathered |= octets[:, :, index] << (index * bits)
    data = gathered.view(torch.uint8).view(rows, -1, 8)[:, :, :bits].reshape(rows, -1)
    return data.view(torch.int32)[:, :words].contiguous()


def _pack_within_bytes(codes: torch.Tensor, bits: int, words: int) -> torch.Tensor:
    """Codes of 1, 2, 4 or 8 bits never straddle a byte, so bytes are built by shifts and viewed as words."""
    import torch

    per_byte = 8 // bits
    per_word = 32 // bits
    data = torch.nn.functional.pad(codes.to(torch.uint8), (0, words * per_word - codes.shape[1]))
    packed = data[:, 0::per_byte].clone(memory_format=torch.contiguous_format)
    for index in range(1, per_byte):
        packed |= data[:, index::per_byte] << (index * bits)
    return packed.reshape(-1).view(torch.int32).view(len(codes), words)  # a single row may carry odd strides


def unpack_rows(packed: torch.Tensor, bits: int, columns: int) -> torch.Tensor:
    """The inverse of `pack_rows`: unsigned codes uint8 [rows, columns]."""
    import torch

    rows, words = packed.shape
    padded = torch.nn.functional.pad(packed, (0, -words % bits)).contiguous()
    data = padded.view(torch.uint8).view(rows, -1, bits)
    gathered = torch.zeros(data.shape[:2], dtype=torch.int64, device=packed.device)
    for index in range(bits):
        gathered |= data[:, :, index].to(torch.int64) << (8 * index)
    shifts = torch.arange(0, 8 * bits, bits, device=packed.device)
    codes = (gathered.unsqueeze(2) >> shifts) & ((1 << bits) - 1)
    return codes.to(torch.uint8).view(rows, -1)[:, :columns].contiguous()
