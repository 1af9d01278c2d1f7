"""Bytes of the weights under every GGUF file type, from llama.cpp's type plan; before any file exists."""

from __future__ import annotations

from quantgui.checkpoint.tensor_names import describe
from quantgui.fit.per_checkpoint import per_checkpoint
from quantgui.fit.weight_split import plan_split, share_of_experts
from quantgui.fit.weights import WeightBytes, is_quantized, parameters
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.packed_blocks import holds_blocks, with_blocks
from quantgui.formats.gguf.size import planned_rows
from quantgui.types import Checkpoint, TensorInfo, UserError

FLOAT_TYPES = frozenset({"F32", "F16", "BF16"})
"""GGUF's float file types; their ids carry a prefix, since safetensors have types of the same names."""
NOTE = "GGUF rows: tensor data as llama-quantize writes it; the file adds the header and an estimate of the tokenizer."


def gguf_weights(checkpoint: Checkpoint, imatrix: bool = False) -> tuple[WeightBytes, ...]:
    """One row per file type, largest first; none for an architecture without names, and for an already quantized
    model unless its blocks are copied.

    `imatrix` says whether an importance matrix is given, which changes the mixture of some types.
    """
    return _with_imatrix(checkpoint) if imatrix else _without_imatrix(checkpoint)


@per_checkpoint
def _with_imatrix(checkpoint: Checkpoint) -> tuple[WeightBytes, ...]:
    return _rows(checkpoint, True)


@per_checkpoint
def _without_imatrix(checkpoint: Checkpoint) -> tuple[WeightBytes, ...]:
    return _rows(checkpoint, False)


def _rows(checkpoint: Checkpoint, imatrix: bool) -> tuple[WeightBytes, ...]:
    stored = with_blocks(checkpoint)
    if is_quantized(checkpoint) and not holds_blocks(stored):
        return ()
    try:
        tensors, rows = planned_rows(stored, imatrix)
    except UserError:
        return ()
    plan = plan_split(map(_described, tensors), share_of_experts(checkpoint))
    total = parameters(checkpoint)
    return tuple(
        WeightBytes(
            f"GGUF-{row.name}" if row.name in FLOAT_TYPES else row.name,
            row.nbytes,
            row.file_bytes,
            total,
            NOTE,
            plan.split(row.tensor_bytes),
        )
        for row in rows
    )


def _described(tensor: GgufTensor) -> TensorInfo:
    said = describe(tensor.name, len(tensor.shape))
    return TensorInfo(tensor.name, tensor.shape, "", 0, role=said.role, layer=said.layer, module=said.module)
