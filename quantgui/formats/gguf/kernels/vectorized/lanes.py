"""Weights side by side: 64 sub-blocks of a K-quant, so that one instruction works on several of them.

Every sub-block keeps its own order of additions; that is why the results are ggml's, to the bit. A batch is 64
super-blocks of 256 weights. `x[g, l, lane]` is weight `l` of sub-block `64 g + lane` of the batch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 64
SUPER = 256
"""Weights in a super-block."""


@njit(error_model="numpy", nogil=True, cache=True)
def load(values, first, count, x):
    """Fills x [groups, size, LANES] from `count` super-blocks of the flat values from `first` on; the rest is zero."""
    groups, size, _ = x.shape
    for group in range(groups):
        for lane in range(LANES):
            start = (group * LANES + lane) * size
            if start < count * SUPER:
                start += first * SUPER
                for index in range(size):
                    x[group, index, lane] = values[start + index]
            else:
                for index in range(size):
                    x[group, index, lane] = np.float32(0)


@njit(error_model="numpy", nogil=True, cache=True)
def load_importance(importance, first, x):
    """Like `load`, for the importance [columns], which repeats from row to row."""
    groups, size, _ = x.shape
    blocks = len(importance) // SUPER
    for group in range(groups):
        for lane in range(LANES):
            offset = (group * LANES + lane) * size
            start = (first + offset // SUPER) % blocks * SUPER + offset % SUPER
            for index in range(size):
                x[group, index, lane] = importance[start + index]


@njit(error_model="numpy", nogil=True, cache=True)
def mean_squares(values, first, count, factor, out):
    """`factor * sum of squares / 256` of each super-block, added in the order of the weights, into out [LANES]."""
    for block in range(LANES):
        total = np.float32(0)
        if block < count:
            start = (first + block) * SUPER
            for index in range(SUPER):
                value = values[start + index]
                total += value * value
        out[block] = factor * total / np.float32(SUPER)


@njit(error_model="numpy", nogil=True, cache=True)
def to_super_blocks(rows, kind, factor, out):
    """`factor` * rows[:, kind] [subs, LANES] of sub-blocks into out [subs, LANES], where a lane is a super-block."""
    subs = len(rows)
    for group in range(subs):
        for lane in range(LANES):
            out[lane % subs, (group * LANES + lane) // subs] = factor * rows[group, kind, lane]
