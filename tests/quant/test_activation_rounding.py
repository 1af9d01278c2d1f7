"""The simulation of rounded activations against what compressed-tensors computes in a layer."""

import pytest
import torch
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.quant_args import QuantizationArgs
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp

from quantgui.quant.activation_rounding import round_inputs, static_scale
from quantgui.schemes.scheme import Activations

INPUTS = torch.randn(2, 7, 256, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 2, 7)[:, None]


@pytest.mark.parametrize("number", ["int", "float"])
@pytest.mark.parametrize("group_size", [None, 128])
def test_dynamic_rounding_is_the_librarys(number, group_size):
    strategy = {"strategy": "group", "group_size": group_size} if group_size else {"strategy": "token"}
    arguments = QuantizationArgs.model_validate({"type": number, "num_bits": 8, "dynamic": True, **strategy})
    scale, zero = compute_dynamic_scales_and_zp(INPUTS, arguments, torch.nn.Linear(1, 1))
    theirs = fake_quantize(INPUTS, scale, zero, arguments)
    torch.testing.assert_close(round_inputs(INPUTS, Activations(number, group_size=group_size), None), theirs)


@pytest.mark.parametrize("number", ["int", "float"])
def test_static_rounding_is_the_librarys_and_clips_what_is_larger(number):
    activations = Activations(number, dynamic=False)
    scale = static_scale(INPUTS[:, :5].abs().amax(), activations)
    arguments = QuantizationArgs.model_validate({"type": number, "num_bits": 8, "strategy": "tensor"})
    theirs = fake_quantize(INPUTS, scale, torch.zeros(1), arguments)
    ours = round_inputs(INPUTS, activations, scale)
    torch.testing.assert_close(ours, theirs)
    assert float(ours.abs().max()) <= 128 * float(scale) if number == "int" else 448 * float(scale)
    assert torch.equal(round_inputs(torch.zeros(1, 256), activations, scale), torch.zeros(1, 256))
