"""Quantizing and dequantizing rows of weights as GGUF stores them. Any number of threads, child process only.

Three kernels stand behind one function: our vectorized ones where they give ggml's bytes sooner, ggml's own, and the
numpy ones of the `gguf` package where ggml is missing. Without ggml the vectorized ones serve any number of weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from quantgui.formats.gguf.kernels import ggml, legacy, vectorized
from quantgui.formats.gguf.kernels.vectorized import Kernel, is_worth_it, vectorized_kernel
from quantgui.schemes.ggml_types import BY_NAME, GgmlType
from quantgui.types import UserError

NUMBERS: Mapping[str, type] = {"I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "F64": np.float64}
"""Types that no kernel writes: tables of numbers, which are copied from file to file."""
NO_WEIGHTS = frozenset({*NUMBERS, "Q8_1", "Q8_K"})
"""These, and what ggml uses for activations while it computes."""
LARGEST_VECTORIZED = 65504.0
"""Beyond it squares and scales overflow, and what ggml computes from infinities is left to ggml."""
LARGEST_SCALED = 1e9
"""What no block with 16-bit scales can hold; ggml's searches end the process for weights from about 1e15 on."""
LARGEST_IMPORTANCE = 1e20
"""Beyond it the weighted errors overflow, and ggml's searches end the process."""
_BYTE_SCALES = frozenset({"MXFP4"})
_prepared: dict[tuple[str, bool], Kernel] = {}


def prepare(weights: Mapping[str, int], *, weighted: bool) -> tuple[str, ...]:
    """Compiles the vectorized kernels that are worth it for so many weights per type; returns those types.

    Call it once before threads quantize; without it every type goes through ggml's own kernels. The bytes are the same.
    """
    alone = frozenset() if ggml.ggml_library() else frozenset(vectorized.MODULES) - legacy.TYPES
    chosen = [name for name, count in weights.items() if name in alone or is_worth_it(name, weighted, count)]
    for name in chosen:
        kernel = vectorized_kernel(name, weighted)
        if kernel is not None:
            _prepared[name, weighted] = kernel
    return tuple(name for name in chosen if (name, weighted) in _prepared)


def quantize_rows(
    ggml_type: str, rows: np.ndarray, importance: np.ndarray | None = None, *, out: np.ndarray | None = None
) -> np.ndarray:
    """The blocks uint8 [n, row bytes] of float32 rows [n, k], written into `out` where given.

    `importance` float32 [k] weighs the squared error of each column (llama.cpp's importance matrix: sum of squared
    activations / count). Raises UserError for weights that are not finite or too large for the type, for an importance
    that is negative, not finite or missing where the type needs it, and for types that this machine has no kernel for.
    """
    kind = _kind(ggml_type, NO_WEIGHTS)
    if rows.ndim != 2 or rows.dtype != np.float32 or not rows.flags.c_contiguous:
        raise ValueError("rows must be a contiguous float32 matrix")
    if importance is not None:
        importance = _checked_importance(importance, rows.shape[1])
    largest = max(float(rows.max()), -float(rows.min())) if rows.size else 0.0
    if not np.isfinite(largest):
        raise UserError("The weights contain values that are not numbers.", hint="The model's files may be damaged.")
    if kind.is_quantized and kind.name not in _BYTE_SCALES and largest > LARGEST_SCALED:
        raise _too_large(kind)
    out = _target(out, (len(rows), kind.nbytes(rows.shape[1])), np.uint8)
    if not rows.size:
        return out
    kernel, library = _prepared.get((kind.name, importance is not None)), ggml.ggml_library()
    if kernel is not None and largest <= LARGEST_VECTORIZED:
        kernel(rows.reshape(-1), importance, out.reshape(-1, kind.block_bytes))
    elif library is None:
        legacy.quantize(kind, rows, out)
    elif importance is None and ggml.requires_importance(library, kind):
        raise UserError(f"{kind.name} needs an importance matrix.", hint="Compute one first, or choose another type.")
    else:
        ggml.quantize(library, kind, rows, importance, out)
    if library is not None and not ggml.is_valid(library, kind, out):
        raise _too_large(kind)
    return out


def dequantize_rows(ggml_type: str, raw: np.ndarray, columns: int, *, out: np.ndarray | None = None) -> np.ndarray:
    """The float32 values [n, columns] of blocks uint8 [n, row bytes], written into `out` where given.

    Raises ValueError where the bytes do not fill rows of `columns` values.
    """
    kind = _kind(ggml_type, NO_WEIGHTS - frozenset(NUMBERS))
    if raw.ndim != 2 or raw.dtype != np.uint8 or raw.shape[1] != kind.nbytes(columns):
        raise ValueError(f"{columns} columns of {kind.name} take {kind.nbytes(columns)} bytes, not {raw.shape}")
    out = _target(out, (len(raw), columns), np.float32)
    if not raw.size:
        return out
    library = ggml.ggml_library()
    raw = np.ascontiguousarray(raw)
    if kind.name in NUMBERS:
        out[:] = raw.view(NUMBERS[kind.name])
    elif library is None:
        legacy.dequantize(kind, raw, out)
    else:
        ggml.dequantize(library, kind, raw, out)
    return out


def missing_kernels(ggml_types: Iterable[str]) -> tuple[str, ...]:
    """Those of the types that this machine cannot quantize to, sorted."""
    if ggml.ggml_library() is not None:
        return ()
    wanted = sorted(set(ggml_types) - legacy.TYPES)
    return tuple(name for name in wanted if vectorized_kernel(name, weighted=False) is None)


def _kind(ggml_type: str, refused: frozenset[str]) -> GgmlType:
    if ggml_type not in BY_NAME or ggml_type in refused:
        raise ValueError(f"ggml has no kernel for {ggml_type!r}")
    return BY_NAME[ggml_type]


def _too_large(kind: GgmlType) -> UserError:
    return UserError(
        f"Some weights are too large for {kind.name}: its scales end at 65,504.", hint="Choose BF16 or F32 for them."
    )


def _checked_importance(importance: np.ndarray, columns: int) -> np.ndarray:
    if importance.shape != (columns,):
        raise UserError(
            f"The importance matrix has {importance.size:,} values for a tensor of {columns:,} columns.",
            hint="It was made for another model.",
        )
    if not np.isfinite(importance).all() or (importance < 0).any():
        raise UserError("The importance matrix contains negative or infinite values.", hint="Compute it again.")
    if importance.size and importance.max() > LARGEST_IMPORTANCE:
        raise UserError(
            f"The importance matrix contains a value of {importance.max():.1e}: activations are never as large.",
            hint="Compute it again.",
        )
    return np.ascontiguousarray(importance, np.float32)


def _target(out: np.ndarray | None, shape: tuple[int, int], dtype: type) -> np.ndarray:
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(f"out must be a contiguous {np.dtype(dtype)} array of shape {shape}")
    return out
