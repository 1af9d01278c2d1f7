"""Bytes of one weight in the formats that people publish, scales and zero points included.

Closed forms of what the formats' own writers store, for precisions that QuantGUI reads or compares but may not write.
Shapes are [..., outputs, inputs]; leading dimensions are experts, packed one by one. Where QuantGUI writes a format
too, a test holds these against its storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Packing:
    """How a weight is packed. `nbytes` of a shape; `fits` says whether it can hold one."""

    name: str
    bits: float
    nbytes: Callable[[Shape], int]
    fits: Callable[[Shape], bool] = lambda shape: True


def gptq(bits: int, group: int) -> Packing:
    """GPTQ: codes, 16-bit scales and packed zero points per group (-1: per output), and an int32 per input."""

    def nbytes(shape: Shape) -> int:
        experts, outputs, inputs = _matrix(shape)
        groups = _groups(inputs, group)
        codes = outputs * _words(inputs * bits)
        return experts * (codes + 2 * groups * outputs + groups * _words(outputs * bits) + 4 * inputs)

    return Packing(f"GPTQ, {bits} bits", bits, nbytes)


def awq(bits: int, group: int) -> Packing:
    """AWQ: as GPTQ, without the index of inputs."""

    def nbytes(shape: Shape) -> int:
        experts, outputs, inputs = _matrix(shape)
        groups = _groups(inputs, group)
        zeros = groups * _words(outputs * bits)
        return experts * (inputs * _words(outputs * bits) + 2 * groups * outputs + zeros)

    return Packing(f"AWQ, {bits} bits", bits, nbytes)


def float8(block: tuple[int, int] | None = None, per_channel: bool = False, static: bool = False) -> Packing:
    """FP8 with float32 scales: per block, per output channel, or one per tensor; `static` adds that of the inputs."""

    def nbytes(shape: Shape) -> int:
        experts, outputs, inputs = _matrix(shape)
        if block is not None:
            scales = -(-outputs // block[0]) * -(-inputs // block[1])
        else:
            scales = outputs if per_channel else 1
        return experts * (outputs * inputs + 4 * scales + (4 if static else 0))

    return Packing("FP8", 8, nbytes)


def int8_rows() -> Packing:
    """LLM.int8(): a byte per weight and a float32 per output."""

    def nbytes(shape: Shape) -> int:
        experts, outputs, inputs = _matrix(shape)
        return experts * (outputs * inputs + 4 * outputs)

    return Packing("LLM.int8()", 8, nbytes)


def four_bit(double_quant: bool) -> Packing:
    """bitsandbytes' NF4 and FP4: a float32 per 64 weights, or a byte each and a float32 per 256 of these."""

    def nbytes(shape: Shape) -> int:
        experts, outputs, inputs = _matrix(shape)
        blocks = -(-outputs * inputs // 64)
        scales = blocks + 4 * -(-blocks // 256) if double_quant else 4 * blocks
        return experts * (-(-outputs * inputs // 2) + scales)

    return Packing("NF4 or FP4", 4, nbytes)


def integer_groups(bits: int, group: int | None, symmetric: bool = True) -> Packing:
    """compressed-tensors: packed integers and 16-bit scales per group (None: per output)."""

    def nbytes(shape: Shape) -> int:
        experts, outputs, inputs = _matrix(shape)
        groups = _groups(inputs, group or -1)
        zeros = 0 if symmetric else groups * _words(outputs * bits)
        codes = outputs * inputs if bits == 8 and group is None else outputs * _words(inputs * bits)
        return experts * (codes + 2 * outputs * groups + zeros)

    return Packing(f"{bits}-bit integers", bits, nbytes)


MXFP4 = Packing("MXFP4", 4, lambda shape: math.prod(shape) * 17 // 32, lambda shape: shape[-1] % 32 == 0)
"""4-bit floats and a shared exponent (one byte) per 32 weights: 4.25 bits."""

NVFP4 = Packing(
    "NVFP4",
    4,
    lambda shape: math.prod(shape) * 9 // 16 + 8 * math.prod(shape[:-2]),
    lambda shape: shape[-1] % 16 == 0,
)
"""4-bit floats, an FP8 scale per 16 weights, and two float32 per tensor: 4.5 bits."""


def mlx(bits: int, group: int = 64) -> Packing:
    """MLX: packed words, a 16-bit scale and a 16-bit offset per group."""
    return Packing(
        f"MLX, {bits} bits",
        bits,
        lambda shape: math.prod(shape) * bits // 8 + math.prod(shape) // group * 4,
        lambda shape: shape[-1] % group == 0,
    )


def _matrix(shape: Shape) -> tuple[int, int, int]:
    *experts, outputs, inputs = shape
    return math.prod(experts), outputs, inputs


def _groups(inputs: int, group: int) -> int:
    return 1 if group <= 0 else -(-inputs // group)


def _words(bits: int) -> int:
    """Bytes of so many bits in whole 32-bit words."""
    return 4 * -(-bits // 32)
