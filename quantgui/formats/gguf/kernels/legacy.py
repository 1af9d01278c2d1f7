"""The older types without ggml: the numpy kernels of the `gguf` package, several times slower. Child process only."""

from __future__ import annotations

import numpy as np

from quantgui.schemes.ggml_types import GgmlType
from quantgui.types import UserError

TYPES = frozenset({"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4"})
"""What it can quantize; it dequantizes every type."""


def quantize(kind: GgmlType, rows: np.ndarray, out: np.ndarray) -> None:
    """Writes the blocks of float32 rows [n, k] into uint8 `out`. Raises UserError for the types it does not know."""
    from gguf import GGMLQuantizationType, quants

    if kind.name not in TYPES:
        raise UserError(
            f"{kind.name} needs the library that runs GGUF files, and it is not installed.",
            hint=f"Install it with: pip install xllamacpp. Without it there are {', '.join(sorted(TYPES))}.",
        )
    out[:] = quants.quantize(rows, GGMLQuantizationType(kind.id)).view(np.uint8)


def dequantize(kind: GgmlType, raw: np.ndarray, out: np.ndarray) -> None:
    """Writes the float32 values of uint8 blocks [n, row bytes] into `out` [n, k]."""
    from gguf import GGMLQuantizationType, quants

    data = raw.view({"F32": np.float32, "F16": np.float16}.get(kind.name, np.uint8))
    out[:] = quants.dequantize(data, GGMLQuantizationType(kind.id))
