"""Casts equal torch's own, and saturate instead of becoming infinite."""

import pytest
import torch

from quantgui.quant.registry import arithmetic, build
from quantgui.schemes.recipe import SchemeSpec


@pytest.mark.parametrize(
    ("scheme_id", "dtype"), [("FP32", torch.float32), ("FP16", torch.float16), ("BF16", torch.bfloat16)]
)
def test_equals_torch(scheme_id, dtype):
    rows = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    method = arithmetic(build(SchemeSpec(scheme_id)))
    assert torch.equal(method.dequantize(method.quantize(rows, torch.float32, None)), rows.to(dtype).float())


def test_values_beyond_fp16_saturate_and_are_counted():
    rows = torch.tensor([[1e6, -1e6, 1.0]])
    method = arithmetic(build(SchemeSpec("FP16")))
    quantized = method.quantize(rows, torch.float32, None)
    assert method.dequantize(quantized).tolist() == [[65504.0, -65504.0, 1.0]]
    assert method.count_clipped(rows, quantized) == 2
