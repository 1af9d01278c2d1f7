"""FP8 against torch's own cast, and at the edges."""

import pytest
import torch

from quantgui.quant.method import ValueRange
from quantgui.quant.registry import arithmetic, build
from quantgui.schemes.recipe import SchemeSpec


def test_a_block_has_one_scale_and_the_last_rows_may_fill_half_a_block():
    rows = torch.randn(192, 256, generator=torch.Generator().manual_seed(4))
    method = arithmetic(build(SchemeSpec("FP8", {"granularity": "block"})))
    quantized = method.quantize(rows, torch.float32, None)
    assert quantized.scale is not None
    expected = torch.stack([part.abs().max() for half in rows.split(128) for part in half.split(128, 1)]) / 448
    assert torch.equal(quantized.scale.reshape(-1), expected)
    assert float((rows - method.dequantize(quantized)).norm() / rows.norm()) < 1 / 16


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_relative_error_of_normal_values_is_at_most_one_sixteenth(granularity):
    rows = torch.randn(8, 256, generator=torch.Generator().manual_seed(3))
    method = arithmetic(build(SchemeSpec("FP8", {"granularity": granularity})))
    quantized = method.quantize(rows, torch.float32, ValueRange(float(rows.min()), float(rows.max())))
    assert quantized.scale is not None
    normal = rows.abs() >= quantized.scale * 2.0**-6  # below lie e4m3's subnormals
    relative = ((rows - method.dequantize(quantized)) / rows).abs()
    assert float(relative[normal].max()) <= 1 / 16 + 1e-6


def test_the_largest_value_stays_finite_when_the_scale_is_rounded_down():
    rows = torch.linspace(-1.0, 1.0, 4001).repeat(8, 1) * torch.linspace(0.5, 3, 8)[:, None]
    method = arithmetic(build(SchemeSpec("FP8")))
    assert bool(torch.isfinite(method.dequantize(method.quantize(rows, torch.bfloat16, None))).all())


def test_zero_rows_stay_zero():
    method = arithmetic(build(SchemeSpec("FP8")))
    assert torch.equal(method.dequantize(method.quantize(torch.zeros(2, 32), torch.float16, None)), torch.zeros(2, 32))


def test_small_float16_weights_keep_their_precision():
    rows = torch.randn(4, 256, generator=torch.Generator().manual_seed(5)) * 1e-4  # scales below F16's normal numbers
    method = arithmetic(build(SchemeSpec("FP8")))
    error = rows - method.dequantize(method.quantize(rows, torch.float16, None))
    assert float(error.norm() / rows.norm()) < 0.05
