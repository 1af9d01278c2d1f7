"""Rounding as ggml does it, on the bits of floats. Imported only where numba compiles (see `__init__.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ROUNDER = 12582912.0
"""1.5 * 2**23: a float32 below 2**22 plus this has its nearest integer (half to even) in the low bits."""
SMALLEST_NORMAL_HALF = np.float32(2.0**-14)
FIRST_INFINITE_HALF = np.float32(65520.0)
_INT, _FLOAT = ir.IntType(32), ir.FloatType()


def _level(typing: Any, value: Any, low: Any, high: Any) -> Any:
    """`nearest_int(value)` limited to [low, high], as float32: ggml's way, out of range and NaN included.

    Written as instructions, because numba widens 32-bit integers to 64, which halves the lanes of a vector.
    """
    signature = types.float32(types.float32, types.int32, types.int32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, low, high = arguments
        bits = builder.bitcast(builder.fadd(value, ir.Constant(_FLOAT, ROUNDER)), _INT)
        whole = builder.sub(builder.and_(bits, ir.Constant(_INT, 0x7FFFFF)), ir.Constant(_INT, 0x400000))
        whole = builder.select(builder.icmp_signed("<", whole, high), whole, high)
        whole = builder.select(builder.icmp_signed(">", whole, low), whole, low)
        return builder.sitofp(whole, _FLOAT)

    return signature, generate


def _bits_of(typing: Any, value: Any) -> Any:
    """The 32 bits of a float32 as int32."""
    return types.int32(types.float32), lambda context, builder, signature, args: builder.bitcast(args[0], _INT)


def _float_of(typing: Any, bits: Any) -> Any:
    """The float32 of 32 bits."""
    return types.float32(types.int32), lambda context, builder, signature, args: builder.bitcast(args[0], _FLOAT)


level: Callable[..., Any] = intrinsic(_level)
bits_of: Callable[..., Any] = intrinsic(_bits_of)
float_of: Callable[..., Any] = intrinsic(_float_of)


@njit(error_model="numpy", inline="always")
def level_in_range(value, highest):
    """The nearest integer to `value` limited to [0, highest], 0 for NaN, all as float32: ggml's newer way."""
    limited = value if value < highest else highest
    limited = limited if value > np.float32(0) else np.float32(0)
    return (limited + np.float32(ROUNDER)) - np.float32(ROUNDER)


@njit(error_model="numpy", inline="always")
def nearest(value):
    """ggml's `nearest_int`: the nearest integer, half to even, for |value| < 2**22."""
    return (bits_of(value + np.float32(ROUNDER)) & 0x7FFFFF) - 0x400000


@njit(error_model="numpy")
def half_bits(value):
    """The 16 bits of the float16 nearest to `value`, half to even; infinity beyond 65,520 and for NaN."""
    sign = (bits_of(value) >> 16) & 0x8000
    size = abs(value)
    if not size < FIRST_INFINITE_HALF:
        return sign | 0x7C00
    if size < SMALLEST_NORMAL_HALF:
        return sign | nearest(size * np.float32(2.0**24))
    bits = bits_of(size)
    return sign | (((bits + 0xFFF + ((bits >> 13) & 1)) >> 13) - (112 << 10))


@njit(error_model="numpy")
def half_value(bits):
    """The float32 of the 16 bits of a float16."""
    exponent, mantissa = (bits >> 10) & 31, bits & 1023
    if exponent == 0:
        size = np.float32(mantissa) * np.float32(2.0**-24)
    else:
        size = float_of(np.int32(((exponent + 112) << 23) | (mantissa << 13)))
    return -size if bits & 0x8000 else size
