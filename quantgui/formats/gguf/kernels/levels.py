"""The values that a block's codes can stand for, found by the kernels themselves: every code is tried on real blocks.

Blocks keep their scales and get each code in turn, so that no scale is decoded a second time here. Where the bytes of
codes lie is ggml's (`block_q4_K` and its like in ggml-common.h).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from quantgui.formats.gguf.kernels import dequantize_rows
from quantgui.schemes.ggml_types import BY_NAME

SAMPLED_BLOCKS = 64
"""Of these, evenly spread, the one of median range is shown."""


@dataclass(frozen=True, slots=True)
class CodeBytes:
    """A stretch of a block's bytes, and the fillings that give its first weight each of their codes."""

    start: int
    stop: int
    fillings: tuple[int, ...]


_FOUR_BITS = tuple(0x11 * code for code in range(16))
_TWO_BITS = (0x00, 0x55, 0xAA, 0xFF)
_ONE_BIT = (0x00, 0xFF)
_TERNARY_TWO_BITS = _TWO_BITS[:3]  # the fourth stands for nothing
_TERNARY_PACKED = (0, 128, 255)  # thirds of a byte: five weights share one

_CODES: Mapping[str, tuple[CodeBytes, ...]] = {
    "Q4_0": (CodeBytes(2, 18, _FOUR_BITS),),
    "Q4_1": (CodeBytes(4, 20, _FOUR_BITS),),
    "Q5_0": (CodeBytes(2, 6, _ONE_BIT), CodeBytes(6, 22, _FOUR_BITS)),
    "Q5_1": (CodeBytes(4, 8, _ONE_BIT), CodeBytes(8, 24, _FOUR_BITS)),
    "Q2_K": (CodeBytes(16, 80, _TWO_BITS),),
    "Q3_K": (CodeBytes(0, 32, _ONE_BIT), CodeBytes(32, 96, _TWO_BITS)),
    "Q4_K": (CodeBytes(16, 144, _FOUR_BITS),),
    "Q5_K": (CodeBytes(16, 48, _ONE_BIT), CodeBytes(48, 176, _FOUR_BITS)),
    "IQ4_NL": (CodeBytes(2, 18, _FOUR_BITS),),
    "IQ4_XS": (CodeBytes(8, 136, _FOUR_BITS),),
    "MXFP4": (CodeBytes(1, 17, _FOUR_BITS),),
    "TQ1_0": (CodeBytes(0, 52, _TERNARY_PACKED),),
    "TQ2_0": (CodeBytes(0, 64, _TERNARY_TWO_BITS),),
}
"""Not here: 6 and 8 bits, whose levels are too many to tell apart, and the IQ types whose codes name whole vectors."""


def block_levels(ggml_type: str, raw: np.ndarray) -> tuple[float, ...]:
    """What the first weights of a typical block among `raw`, uint8 [n, row bytes], could have become, in order.

    Weights with the same scale have the same levels. Empty for types whose levels cannot be listed, and without rows.
    """
    codes = _CODES.get(ggml_type)
    if codes is None or not raw.size:
        return ()
    kind = BY_NAME[ggml_type]
    blocks = raw.reshape(-1, kind.block_bytes)
    sampled = blocks[:: -(-len(blocks) // SAMPLED_BLOCKS)]
    fillings = list(product(*(code.fillings for code in codes)))
    tried = np.repeat(sampled[:, None, :], len(fillings), axis=1)
    for index, filling in enumerate(fillings):
        for code, value in zip(codes, filling, strict=True):
            tried[:, index, code.start : code.stop] = value
    values = dequantize_rows(ggml_type, tried.reshape(-1, kind.block_bytes), kind.block_elements)[:, 0]
    by_block = values.reshape(len(sampled), -1)
    ranges = np.ptp(by_block, axis=1)
    median = by_block[np.argsort(ranges, kind="stable")[len(ranges) // 2]]
    return tuple(np.unique(median).tolist())
