"""Levels of a block: what its weights are is among them, they are as many as the bits allow, and evenly spaced."""

import numpy as np
import pytest

from quantgui.formats.gguf.kernels import dequantize_rows, quantize_rows
from quantgui.formats.gguf.kernels.levels import block_levels
from quantgui.schemes.ggml_types import BY_NAME

LEVELS = {"Q2_K": 4, "Q3_K": 8, "Q4_0": 16, "Q4_1": 16, "Q4_K": 16, "Q5_0": 32, "Q5_1": 32, "Q5_K": 32, "TQ1_0": 3}
LEVELS |= {"TQ2_0": 3, "IQ4_NL": 16, "IQ4_XS": 16, "MXFP4": 15}  # MXFP4 has a zero of each sign
SHARED = {"Q2_K": 16, "Q3_K": 16, "TQ1_0": 256, "TQ2_0": 256}
"""Weights that share a scale; 32 in the others."""


def one_block(name: str) -> np.ndarray:
    rows = np.random.default_rng(5).normal(0, 0.02, (1, BY_NAME[name].block_elements)).astype(np.float32)
    return quantize_rows(name, rows)


@pytest.mark.parametrize("name", LEVELS)
def test_the_weights_of_a_block_are_among_its_levels(name):
    block = one_block(name)
    levels = block_levels(name, block)
    values = dequantize_rows(name, block, BY_NAME[name].block_elements)[0, : SHARED.get(name, 32)]
    assert len(levels) == LEVELS[name]
    assert set(values.tolist()) <= set(levels)
    assert list(levels) == sorted(levels)


@pytest.mark.parametrize("name", [name for name in LEVELS if name[0] == "Q"])
def test_uniform_types_have_even_levels(name):
    gaps = np.diff(block_levels(name, one_block(name)))
    assert gaps == pytest.approx(np.full(len(gaps), gaps.mean()), rel=1e-3)


def test_among_several_blocks_the_one_of_median_range_is_shown():
    small, middle, large = (np.full((1, 32), size, np.float32) for size in (0.1, 1.0, 10.0))
    raw = quantize_rows("Q4_0", np.concatenate([large, middle, small]))
    assert max(map(abs, block_levels("Q4_0", raw))) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("name", ["F32", "Q8_0", "Q6_K", "IQ2_S"])
def test_types_with_too_many_levels_have_none(name):
    assert block_levels(name, np.zeros((2, BY_NAME[name].block_bytes), np.uint8)) == ()


def test_no_rows_have_no_levels():
    assert block_levels("Q4_0", np.zeros((0, 18), np.uint8)) == ()
