"""The Hessian predicts the error of a layer's outputs exactly, however the tokens arrive."""

import pytest
import torch

from quantgui.calibration.hessian import Hessian, output_error
from quantgui.types import UserError


def test_it_is_two_over_n_x_x_and_measures_the_output_error():
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, 48, generator=random)
    weight, changed = torch.randn(2, 24, 48, generator=random)
    hessian = Hessian(48, torch.device("cpu"))
    for part in inputs.split([1, 99, 400]):
        hessian.add(part)
    torch.testing.assert_close(hessian.matrix, 2 * inputs.T @ inputs / 500, rtol=1e-4, atol=1e-5)
    measured = (inputs @ (weight - changed).T).square().sum() / (inputs @ weight.T).square().sum()
    assert output_error(hessian.matrix, weight, changed) == pytest.approx(float(measured), rel=1e-4)
    assert output_error(hessian.matrix, weight, weight) == 0
    assert output_error(hessian.matrix, torch.zeros_like(weight), torch.zeros_like(weight)) == 0


def test_an_overflow_is_told():
    hessian = Hessian(4, torch.device("cpu"))
    hessian.add(torch.full((2, 4), 1e25))
    with pytest.raises(UserError, match=r"inputs of layer\.weight are too large"):
        hessian.check("layer.weight")
