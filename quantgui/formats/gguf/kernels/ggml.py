"""ggml's own quantization kernels, called with ctypes: the reference for the bytes of every type.

The C functions trust their caller: a NaN, a missing importance matrix or a wrong row length ends the process, so
`kernels.quantize_rows` checks all of that first.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache

import numpy as np

from quantgui.formats.gguf.llama_library import exported, ggml_of_whisper, llama_library
from quantgui.schemes.ggml_types import BY_NAME, GgmlType
from quantgui.types import UserError

FUNCTIONS = (
    "ggml_quantize_init",
    "ggml_quantize_chunk",
    "ggml_quantize_requires_imatrix",
    "ggml_validate_row_data",
    "ggml_get_type_traits",
)
_ROW_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_lock = threading.Lock()
_prepared: set[int] = set()


class _TypeTraits(ctypes.Structure):
    """The leading fields of `struct ggml_type_traits` (ggml.h)."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block_elements", ctypes.c_int64),
        ("block_elements_interleaved", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.c_void_p),
    )


@cache
def ggml_library() -> ctypes.CDLL | None:
    """The library with its functions declared, None where this machine has none that exports them."""
    for find in (llama_library, ggml_of_whisper):
        try:
            library = find()
        except UserError:
            continue
        if all(exported(library, name) for name in FUNCTIONS):
            _declare(library)
            return library
    return None


def _declare(library: ctypes.CDLL) -> None:
    int_, int64, pointer = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
    library.ggml_quantize_init.argtypes = (int_,)
    library.ggml_quantize_init.restype = None
    library.ggml_quantize_chunk.argtypes = (int_, pointer, pointer, int64, int64, int64, pointer)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_requires_imatrix.argtypes = (int_,)
    library.ggml_quantize_requires_imatrix.restype = ctypes.c_bool
    library.ggml_validate_row_data.argtypes = (int_, pointer, ctypes.c_size_t)
    library.ggml_validate_row_data.restype = ctypes.c_bool
    library.ggml_get_type_traits.argtypes = (int_,)
    library.ggml_get_type_traits.restype = ctypes.POINTER(_TypeTraits)


def quantize(
    library: ctypes.CDLL, kind: GgmlType, rows: np.ndarray, importance: np.ndarray | None, out: np.ndarray
) -> None:
    """Writes the blocks of checked float32 rows [n, k] into uint8 `out` [n, row bytes]."""
    prepare(library, kind)
    weights = importance.ctypes.data if importance is not None else None
    written = library.ggml_quantize_chunk(kind.id, rows.ctypes.data, out.ctypes.data, 0, *rows.shape, weights)
    if written != out.nbytes:
        raise RuntimeError(f"ggml wrote {written} bytes of {kind.name} where {out.nbytes} were expected")


def prepare(library: ctypes.CDLL, kind: GgmlType) -> None:
    """Builds the tables of a type once, before threads share them, and compares its block with our own table."""
    with _lock:
        if kind.id in _prepared:
            return
        traits = library.ggml_get_type_traits(kind.id).contents
        if (traits.block_elements, traits.block_bytes) != (kind.block_elements, kind.block_bytes):
            raise RuntimeError(f"ggml's blocks of {kind.name} are not those of this version")
        library.ggml_quantize_init(kind.id)
        _prepared.add(kind.id)


def is_valid(library: ctypes.CDLL, kind: GgmlType, blocks: np.ndarray) -> bool:
    """Whether every scale in the blocks is finite: weights beyond 65,504 can overflow their 16 bits."""
    return bool(library.ggml_validate_row_data(kind.id, blocks.ctypes.data, blocks.nbytes))


def dequantize(library: ctypes.CDLL, kind: GgmlType, raw: np.ndarray, out: np.ndarray) -> None:
    """Writes the float32 values of uint8 blocks [n, row bytes] into `out` [n, k]."""
    prepare(library, kind)
    if kind == BY_NAME["F32"]:
        out[:] = raw.view(np.float32)
        return
    to_float = library.ggml_get_type_traits(kind.id).contents.to_float
    if not to_float:
        raise UserError(f"The values of {kind.name} tensors cannot be read.")
    _ROW_FUNCTION(to_float)(raw.ctypes.data, out.ctypes.data, out.size)


def requires_importance(library: ctypes.CDLL, kind: GgmlType) -> bool:
    """Whether the kernel of this type stops the process without an importance matrix."""
    return bool(library.ggml_quantize_requires_imatrix(kind.id))
