"""Ternary and binary: the scales are the best there are, and the codes the nearest."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.quant.registry import arithmetic, build
from quantgui.schemes.recipe import SchemeSpec

GROUP = 32


def squared_error(scheme_id: str, rows: torch.Tensor) -> torch.Tensor:
    """Squared error of every group, [rows, groups]."""
    method = arithmetic(build(SchemeSpec(scheme_id, {"group_size": GROUP})))
    error = rows - method.dequantize(method.quantize(rows, torch.float32, None))
    return error.view(len(rows), -1, GROUP).square().sum(dim=2)


@pytest.mark.parametrize(("scheme_id", "levels"), [("Ternary", (-1.0, 0.0, 1.0)), ("Binary", (-1.0, 1.0))])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31), power=st.integers(1, 5), spread=st.floats(1e-4, 1e3))
def test_no_other_scale_is_better(scheme_id, levels, seed, power, spread):
    normal = torch.randn(2, 2 * GROUP, generator=torch.Generator().manual_seed(seed))
    rows = normal * normal.abs() ** (power - 1) * spread  # from normal to long tails
    ours = squared_error(scheme_id, rows)
    grouped = rows.view(2, -1, GROUP, 1)
    for fraction in torch.linspace(0.02, 1.0, 99):
        scale = grouped.abs().amax(dim=2, keepdim=True) * fraction
        nearest = (grouped - scale * torch.tensor(levels)).square().amin(dim=3).sum(dim=2)
        assert bool((ours <= nearest * (1 + 1e-4)).all())


def test_codes_are_what_they_are_called():
    rows = torch.randn(4, 4 * GROUP, generator=torch.Generator().manual_seed(3))
    for scheme_id, codes in (("Ternary", {-1, 0, 1}), ("Binary", {-1, 1})):
        method = arithmetic(build(SchemeSpec(scheme_id, {"group_size": GROUP})))
        quantized = method.quantize(rows, torch.bfloat16, None)
        assert set(quantized.codes.unique().tolist()) == codes
        assert len(method.levels(quantized)) == len(codes)


def test_a_third_level_helps():
    rows = torch.randn(8, 4 * GROUP, generator=torch.Generator().manual_seed(4))
    assert bool((squared_error("Ternary", rows) <= squared_error("Binary", rows)).all())


def test_rows_of_zeros_stay_next_to_zero():
    rows = torch.zeros(2, GROUP)
    assert float(squared_error("Ternary", rows).max()) == 0
    assert float(squared_error("Binary", rows).max()) < 1e-30
