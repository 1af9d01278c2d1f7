"""The worked examples of the field, and laws that hold for every integer scheme."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.quant.method import RowArithmetic, ValueRange
from quantgui.quant.methods.round_to_nearest import RoundToNearest, code_range
from quantgui.quant.registry import arithmetic, build
from quantgui.quant.storage_rounding import rounded_up
from quantgui.schemes.recipe import SchemeSpec


def rtn(scheme_id: str, **parameters) -> RowArithmetic:
    return arithmetic(build(SchemeSpec(scheme_id, parameters)))


def range_of(rows: torch.Tensor) -> ValueRange:
    return ValueRange(float(rows.min()), float(rows.max()))


def test_absmax_int8_of_a_tensor_whose_absmax_is_one():
    rows = torch.tensor([[1.0, 0.45892, -0.3, 0.0]])
    method = rtn("INT8", granularity="tensor")
    quantized = method.quantize(rows, torch.float32, range_of(rows))
    assert quantized.codes[0, 1] == 58
    assert float(method.dequantize(quantized)[0, 1]) == pytest.approx(0.4567, abs=5e-5)


def test_unsigned_8_bits_with_integer_zero_point_and_with_float_minimum():
    """Both forms give code 159; we use the integer zero-point, as the formats store it."""
    value, low, high = 0.12345678, -0.5, 0.5
    rows = torch.tensor([[low, value, high, 0.0]])
    method = rtn("INT8", granularity="channel", symmetric=False)
    quantized = method.quantize(rows, torch.float32, None)
    assert int(quantized.codes[0, 1]) + 128 == 159
    assert float(method.dequantize(quantized)[0, 1]) == pytest.approx(0.1216, abs=5e-5)
    scale = (high - low) / 255
    code_with_float_minimum = round((value - low) / scale)
    assert code_with_float_minimum == 159
    assert code_with_float_minimum * scale + low == pytest.approx(0.1235, abs=5e-5)


def test_int4_codes_are_ordered_as_the_values():
    rows = torch.tensor([[-3.1415, -1.2045, 0.0, 1.8902, 2.7182]])
    codes = rtn("INT4", granularity="channel").quantize(rows, torch.float32, None).codes[0]
    assert codes.min() >= -8
    assert codes.max() <= 7
    assert codes.tolist() == sorted(codes.tolist())
    assert len(set(codes.tolist())) == 5


@pytest.mark.parametrize("scheme_id", ["INT8", "INT4", "INT3", "INT2"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31), shift=st.floats(-2, 2), spread=st.floats(1e-6, 1e3))
def test_error_is_at_most_half_a_step(scheme_id, symmetric, granularity, seed, shift, spread):
    rows = (torch.randn(4, 64, generator=torch.Generator().manual_seed(seed)) + shift) * spread
    group = {"group_size": 32} if granularity == "group" else {}
    method = rtn(scheme_id, granularity=granularity, symmetric=symmetric, **group)
    quantized = method.quantize(rows, torch.float32, range_of(rows))
    assert quantized.scale is not None
    steps = quantized.scale.repeat_interleave(rows.shape[1] // quantized.scale.shape[1], 1)
    # Rounding the zero-point to an integer may cost up to half a step more at the ends of the range.
    allowed = 0.5 if symmetric else 1.0
    error = (rows - method.dequantize(quantized)).abs()
    assert bool((error <= allowed * steps * (1 + 1e-4) + 1e-12).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scheme_id", ["INT8", "INT4", "INT3", "INT2"])
def test_nothing_is_clipped_however_coarse_the_scales_are_stored(scheme_id, dtype):
    rows = torch.randn(64, 256, generator=torch.Generator().manual_seed(7))
    method = rtn(scheme_id, granularity="group", group_size=32)
    quantized = method.quantize(rows, dtype, None)
    assert quantized.scale is not None
    assert method.count_clipped(rows, quantized) == 0
    steps = quantized.scale.float().repeat_interleave(32, 1)
    assert bool(((rows - method.dequantize(quantized)).abs() <= 0.5001 * steps).all())


@pytest.mark.parametrize("symmetric", [True, False])
def test_more_bits_less_error(symmetric):
    rows = torch.randn(16, 256, generator=torch.Generator().manual_seed(1))
    errors = []
    for scheme_id in ("INT2", "INT3", "INT4", "INT8"):
        method = rtn(scheme_id, granularity="group", group_size=64, symmetric=symmetric)
        errors.append(float((rows - method.dequantize(method.quantize(rows, torch.float32, None))).square().mean()))
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", ["channel", "group"])
def test_all_zero_rows_stay_exactly_zero(symmetric, granularity):
    rows = torch.zeros(2, 128)
    rows[1] = torch.linspace(-1, 1, 128)
    method = rtn("INT4", granularity=granularity, group_size=32, symmetric=symmetric)
    dequantized = method.dequantize(method.quantize(rows, torch.bfloat16, None))
    assert torch.equal(dequantized[0], torch.zeros(128))
    assert bool(torch.isfinite(dequantized).all())


def test_tiny_weights_do_not_underflow_their_scale():
    rows = torch.full((1, 32), 1e-7)
    quantized = rtn("INT8").quantize(rows, torch.float16, None)
    assert quantized.scale is not None
    assert float(quantized.scale) > 0
    assert quantized.codes.abs().max() <= 127


def test_constant_rows_are_within_half_a_step():
    rows = torch.full((1, 64), -0.7)
    for symmetric in (True, False):
        method = rtn("INT4", granularity="group", group_size=32, symmetric=symmetric)
        quantized = method.quantize(rows, torch.float32, None)
        assert quantized.scale is not None
        error = (rows - method.dequantize(quantized)).abs().max()
        assert float(error) <= 0.5001 * float(quantized.scale.max())


def test_clipping_is_counted_only_beyond_the_range():
    method = rtn("INT4", granularity="tensor")
    rows = torch.tensor([[-1.0, 0.5, 0.2, 4.0]])
    quantized = method.quantize(rows, torch.float32, ValueRange(-1.0, 1.0))  # a range that forgets the 4.0
    assert method.count_clipped(rows, quantized) == 1


def test_levels_are_drawn_for_few_bits_only():
    rows = torch.randn(2, 128, generator=torch.Generator().manual_seed(0))
    low, high = code_range(2)
    method = rtn("INT2")
    assert isinstance(method, RoundToNearest)
    assert len(method.levels(method.quantize(rows, torch.float32, None))) == high - low + 1
    assert rtn("INT8").levels(rtn("INT8").quantize(rows, torch.float32, None)) == ()


@pytest.mark.parametrize("symmetric", [True, False])
def test_small_float16_weights_keep_their_precision(symmetric):
    """Steps below 6.1e-5 are subnormal in F16, which is no reason to enlarge them."""
    rows = torch.randn(4, 64, generator=torch.Generator().manual_seed(5)) * 1e-3
    method = rtn("INT8", granularity="channel", symmetric=symmetric)
    error = rows - method.dequantize(method.quantize(rows, torch.float16, None))
    assert float(error.norm() / rows.norm()) < 0.02


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_scales_are_rounded_up_to_the_next_number_and_never_to_zero(dtype):
    scale = torch.logspace(-20, 3, 2000)
    stored = rounded_up(scale, dtype)
    assert bool((stored.float() >= scale).all())
    below = (stored.view(torch.int16) - 1).view(dtype).float() if dtype.itemsize == 2 else scale
    assert bool(((below < scale) | (stored.float() == scale)).all())
