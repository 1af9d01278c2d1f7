"""The rounding in the forward pass is the file's, and its gradient is the identity's."""

from typing import Any

import pytest
import torch

from quantgui.pipeline.training.fake_quantized import fake_quantize
from quantgui.quant.registry import arithmetic, build
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.recipe import SchemeSpec
from quantgui.types import TensorInfo

SPECS = (
    SchemeSpec("QAT-INT8"),
    SchemeSpec("QAT-INT4", {"group_size": 32}),
    SchemeSpec("QAT-INT4", {"group_size": 64, "symmetric": False}),
    SchemeSpec("QAT-INT4", {"group_size": 96}),
    SchemeSpec("QAT-INT2", {"group_size": 32}),
    SchemeSpec("QAT-INT2", {"group_size": 48, "symmetric": False}),
)


class OneLayer(torch.nn.Module):
    """A model of one linear layer [40, 192] with a bias, and a norm that stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.up = torch.nn.Linear(192, 40)
        self.norm = torch.nn.LayerNorm(40)
        self.up.weight.data = torch.randn(40, 192, generator=generator) * torch.rand(40, 1, generator=generator)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.norm(self.up(inputs))


def quantized(spec: SchemeSpec, dtype: str = "BF16") -> tuple[OneLayer, torch.nn.Parameter, Assignment]:
    model = OneLayer()
    info = TensorInfo("up.weight", (40, 192), dtype, 40 * 192 * 2)
    assignment = Assignment(info, build(spec))
    return model, fake_quantize(model, {info.name: assignment})[info.name], assignment


def rounded(model: OneLayer) -> torch.Tensor:
    """The weight that the forward pass computes with."""
    layer: Any = model.up
    return layer.qweight.dequantize()


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_quanto_rounds_to_what_will_be_written(spec, dtype):
    model, weight, assignment = quantized(spec, dtype)
    assert assignment.scheme is not None
    method = arithmetic(assignment.scheme)
    stored = method.quantize(weight.detach(), {"BF16": torch.bfloat16, "F32": torch.float32}[dtype], None)
    assert torch.equal(rounded(model), method.dequantize(stored))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_gradient_is_that_of_the_rounded_layer_passed_straight_through(spec):
    model, weight, _ = quantized(spec)
    inputs = torch.randn(5, 192, generator=torch.Generator().manual_seed(2))
    model.up(inputs).square().sum().backward()
    plain = rounded(model).detach().requires_grad_()
    torch.nn.functional.linear(inputs, plain, model.up.bias).square().sum().backward()
    assert plain.grad is not None
    torch.testing.assert_close(weight.grad, plain.grad, rtol=1e-5, atol=1e-5)


def test_only_the_chosen_weights_learn():
    model, weight, _ = quantized(SPECS[0])
    assert weight.requires_grad
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["up.weight"]


def test_what_is_no_linear_layer_of_that_name_is_left_out():
    model = OneLayer()
    scheme = build(SchemeSpec("QAT-INT8"))
    names = {"norm.weight": (40,), "elsewhere.weight": (40, 192), "up.weight": (40, 96)}
    others = {name: Assignment(TensorInfo(name, shape, "BF16", 0), scheme) for name, shape in names.items()}
    assert fake_quantize(model, others) == {}
