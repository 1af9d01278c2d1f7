"""Bytes of the weights under every GGUF file type, from llama.cpp's type plan; before any file exists."""

from __future__ import annotations

from quantgui.fit.weights import WeightBytes, is_quantized, parameters
from quantgui.formats.gguf.size import gguf_rows
from quantgui.types import Checkpoint, UserError

FLOAT_TYPES = frozenset({"F32", "F16", "BF16"})
"""GGUF's float file types; their ids carry a prefix, since safetensors have types of the same names."""
NOTE = "GGUF rows: tensor data as llama-quantize writes it; the file adds the header and an estimate of the tokenizer."


def gguf_weights(checkpoint: Checkpoint, imatrix: bool = False) -> tuple[WeightBytes, ...]:
    """One row per file type, largest first; none for an already quantized model or an architecture without names.

    `imatrix` says whether an importance matrix is given, which changes the mixture of some types.
    """
    if is_quantized(checkpoint):
        return ()
    try:
        rows = gguf_rows(checkpoint, imatrix)
    except UserError:
        return ()
    total = parameters(checkpoint)
    return tuple(
        WeightBytes(f"GGUF-{name}" if name in FLOAT_TYPES else name, nbytes, file_bytes, total, NOTE)
        for name, nbytes, file_bytes in rows
    )
