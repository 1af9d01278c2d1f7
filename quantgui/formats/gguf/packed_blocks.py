"""MXFP4 as gpt-oss stores it in a Hugging Face folder, as ggml's blocks: the same bits in another order, not rounded.

A block of 32 weights has one scale (a power of two, one byte) and 32 codes of 4 bits. The folder keeps scales and codes
in two tensors and neighbours in one byte, the first in its low half; ggml puts the scale before the codes, and weight
j + 16 into the high half of byte j.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quantgui.types import Checkpoint, SourceKind, TensorInfo

if TYPE_CHECKING:
    import torch

TYPE_NAME = "MXFP4"
METHOD = "mxfp4"
"""`quant_method` of config.json."""
CODES, SCALES = "_blocks", "_scales"
"""How the names of the two tensors end."""
_EXPERTS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")
_CODE_BYTES = 16
BLOCK_WEIGHTS, BLOCK_BYTES = 2 * _CODE_BYTES, 1 + _CODE_BYTES


def holds_blocks(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint's quantized tensors are all of this kind."""
    config = checkpoint.config
    method = config.quantization if config is not None else None
    return method == METHOD and any(tensor.name.endswith(CODES) for tensor in checkpoint.tensors)


def with_blocks(checkpoint: Checkpoint) -> Checkpoint:
    """A model known by its config alone, with the two tensors of each matrix of experts that its files have."""
    config = checkpoint.config
    stated = config.raw.get("quantization_config") if config is not None else None
    method = stated.get("quant_method") if isinstance(stated, Mapping) else None
    if checkpoint.kind is not SourceKind.CONFIG or method != METHOD:
        return checkpoint
    tensors = tuple(part for tensor in checkpoint.tensors for part in _packed(tensor))
    return replace(checkpoint, tensors=tensors)


def _packed(tensor: TensorInfo) -> tuple[TensorInfo, ...]:
    """Codes [experts, outputs, groups, 16] and scales [experts, outputs, groups] of experts [experts, inputs, outputs];
    any other tensor as it is."""
    if not tensor.name.endswith(_EXPERTS) or len(tensor.shape) != 3 or tensor.shape[1] % BLOCK_WEIGHTS:
        return (tensor,)
    experts, inputs, outputs = tensor.shape
    groups = (experts, outputs, inputs // BLOCK_WEIGHTS)
    bytes_of_codes = math.prod(groups) * _CODE_BYTES
    return (
        replace(tensor, name=tensor.name + CODES, shape=(*groups, _CODE_BYTES), dtype="U8", nbytes=bytes_of_codes),
        replace(tensor, name=tensor.name + SCALES, shape=groups, dtype="U8", nbytes=math.prod(groups)),
    )


@dataclass(frozen=True, slots=True)
class PackedBlocks:
    """A view on both tensors: codes uint8 [..., groups, 16] and scales uint8 [..., groups], cut and iterated together.

    It counts the elements of what `repacked` makes of it, as a tensor of bytes would.
    """

    codes: torch.Tensor
    scales: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the scales."""
        return tuple(self.scales.shape)

    @property
    def ndim(self) -> int:
        """Of the scales."""
        return self.scales.ndim

    def numel(self) -> int:
        """Bytes of the blocks."""
        return self.scales.numel() * BLOCK_BYTES

    def element_size(self) -> int:
        """One byte."""
        return 1

    def unbind(self, dimension: int) -> tuple[PackedBlocks, ...]:
        """The parts along one dimension."""
        pairs = zip(self.codes.unbind(dimension), self.scales.unbind(dimension), strict=True)
        return tuple(PackedBlocks(codes, scales) for codes, scales in pairs)

    def __iter__(self) -> Iterator[PackedBlocks]:
        return iter(self.unbind(0))

    def __getitem__(self, key: slice | tuple[slice, ...]) -> PackedBlocks:
        return PackedBlocks(self.codes[key], self.scales[key])

    def repacked(self) -> torch.Tensor:
        """ggml's blocks: uint8 [..., groups × 17]."""
        import torch

        low, high = self.codes & 0x0F, self.codes >> 4
        weights = torch.stack((low, high), dim=-1).flatten(-2)  # [..., groups, 32], one a byte
        codes = weights[..., :_CODE_BYTES] | weights[..., _CODE_BYTES:] << 4
        return torch.cat((self.scales.unsqueeze(-1), codes), dim=-1).flatten(-2)
