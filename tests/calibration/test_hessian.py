"""The Hessian predicts the error of a layer's outputs exactly, however the tokens arrive."""

import pytest
import torch

from quantgui.calibration.hessian import PANEL, Hessian, output_error, output_power
from quantgui.types import UserError


@pytest.mark.parametrize("features", [48, PANEL, 2 * PANEL + 3])
def test_it_is_two_over_n_x_x_and_measures_the_output_error(features):
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, features, generator=random)
    weight, changed = torch.randn(2, 24, features, generator=random)
    hessian = Hessian(features, torch.device("cpu"))
    for part in inputs.split([1, 99, 400]):
        hessian.add(part)
    torch.testing.assert_close(hessian.matrix, 2 * inputs.T @ inputs / 500, rtol=1e-4, atol=1e-5)
    measured = (inputs @ (weight - changed).T).square().sum() / (inputs @ weight.T).square().sum()
    assert output_error(hessian.matrix, weight, changed) == pytest.approx(float(measured), rel=1e-4)
    power = output_power(hessian.matrix, weight)
    assert power == pytest.approx(2 * float((inputs @ weight.T).square().sum()) / 500, rel=1e-4)
    assert output_error(hessian.matrix, weight, changed, power) == output_error(hessian.matrix, weight, changed)
    assert output_error(hessian.matrix, weight, weight) == 0
    assert output_error(hessian.matrix, torch.zeros_like(weight), torch.zeros_like(weight)) == 0


def test_it_can_be_looked_at_between_two_additions():
    first, second = torch.randn(2, 100, PANEL + 5, generator=torch.Generator().manual_seed(0))
    hessian = Hessian(PANEL + 5, torch.device("cpu"))
    for inputs, all_so_far in ((first, first), (second, torch.cat([first, second]))):
        hessian.add(inputs)
        wanted = 2 * all_so_far.T @ all_so_far / len(all_so_far)
        torch.testing.assert_close(hessian.matrix, wanted, rtol=1e-4, atol=1e-5)


def test_an_overflow_is_told():
    hessian = Hessian(4, torch.device("cpu"))
    hessian.add(torch.full((2, 4), 1e25))
    with pytest.raises(UserError, match=r"inputs of layer\.weight are too large"):
        hessian.check("layer.weight")
