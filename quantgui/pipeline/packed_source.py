"""A checkpoint with experts in MXFP4 blocks (gpt-oss) as its model computes: plain matrices, unpacked on reading.

transformers keeps them [experts, inputs, outputs]; the blocks lie along the inputs of [experts, outputs, inputs].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from quantgui.calibration.weights import Read
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.packed_blocks import (
    BLOCK_BYTES,
    BLOCK_WEIGHTS,
    CODES,
    SCALES,
    TYPE_NAME,
    PackedBlocks,
    holds_blocks,
)
from quantgui.types import Checkpoint, TensorInfo

if TYPE_CHECKING:
    import torch


def unpacked(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with one tensor for codes and scales; as it is where it holds no such blocks."""
    return replace(checkpoint, tensors=tuple(_plain(checkpoint))) if holds_blocks(checkpoint) else checkpoint


def _plain(checkpoint: Checkpoint) -> Iterator[TensorInfo]:
    for info in checkpoint.tensors:
        if info.name.endswith(CODES):
            experts, outputs, groups, _ = info.shape
            shape = (experts, groups * BLOCK_WEIGHTS, outputs)
            yield replace(info, name=info.name.removesuffix(CODES), shape=shape, dtype="F32")
        elif not info.name.endswith(SCALES):
            yield info


def unpacking(checkpoint: Checkpoint, data: TensorData) -> Read:
    """Reads the tensors of `unpacked(checkpoint)`, of which `data` has the stored ones, while that is open."""
    stored = {info.name: info for info in checkpoint.tensors}

    def read(info: TensorInfo) -> torch.Tensor:
        if info.name in stored:
            return data.tensor(info)
        codes, scales = (data.tensor(stored[info.name + part]) for part in (CODES, SCALES))
        return _values(PackedBlocks(codes, scales)).transpose(1, 2)

    return read


def _values(blocks: PackedBlocks) -> torch.Tensor:
    """Float32 [experts, outputs, inputs]."""
    import torch

    from quantgui.formats.gguf.kernels import dequantize_rows

    packed = blocks.repacked()
    columns = packed.shape[-1] // BLOCK_BYTES * BLOCK_WEIGHTS
    rows = dequantize_rows(TYPE_NAME, packed.flatten(0, 1).contiguous().numpy(), columns)
    return torch.from_numpy(rows).view(*packed.shape[:2], columns)
