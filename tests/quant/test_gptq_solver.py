"""GPTQ against its definition, and the laws its errors obey on calibration data."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from quantgui.calibration.hessian import Hessian, output_error
from quantgui.quant.gptq_solver import prepare, solve
from quantgui.quant.methods.gptq import Gptq
from quantgui.quant.registry import build
from quantgui.schemes.recipe import SchemeSpec
from quantgui.types import UserError

ROWS, COLUMNS = 48, 256
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small products on a busy machine: torch's threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def layer(seed: int, tokens: int = 1024) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight, and the Hessian of inputs that depend on each other and differ in size, as activations do."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(COLUMNS, COLUMNS, generator=random) / COLUMNS**0.5
    sizes = torch.exp(torch.randn(COLUMNS, generator=random))
    inputs = torch.randn(tokens, COLUMNS, generator=random) @ mixing * sizes
    hessian = Hessian(COLUMNS, CPU)
    hessian.add(inputs)
    return torch.randn(ROWS, COLUMNS, generator=random) * 0.02, hessian.matrix


def errors(bits: int, seed: int = 0, **parameters: Any) -> tuple[float, float]:
    """Relative output errors of rounding to nearest and of GPTQ."""
    scheme = build(SchemeSpec(f"GPTQ-{bits}", {"group_size": 64, **parameters}))
    method = Gptq(scheme)
    weight, hessian = layer(seed)
    dtype = method.scale_dtype(torch.bfloat16)
    problem = prepare(hessian, 0.01, act_order=method.takes_most_active_first, name="w")
    solved = method.solve(weight, problem, dtype)
    rounded = method.dequantize(method.quantize(weight, dtype, None))
    return output_error(hessian, weight, rounded), output_error(hessian, weight, method.dequantize(solved))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"symmetric": False},
        {"act_order": True},
        {"act_order": True, "format": "compressed-tensors"},
        {"granularity": "channel"},
        {"mse": False},
        {"group_size": 32, "symmetric": False, "act_order": True, "format": "gptq_v2"},
    ],
    ids=str,
)
def test_the_output_error_is_at_most_that_of_rounding_to_nearest(bits, parameters):
    rounded, solved = errors(bits, **parameters)
    assert 0 < solved <= rounded


def mean_error(bits: int = 3, **parameters: Any) -> float:
    return sum(errors(bits, seed, **parameters)[1] for seed in range(4)) / 4


def test_most_active_inputs_first_is_better_on_average():
    plain = mean_error(static_order=False)
    assert mean_error(act_order=True) <= plain
    assert mean_error(static_order=True) <= plain
    assert mean_error(act_order=True, format="compressed-tensors") <= plain


def test_searched_scales_are_better_on_average():
    for bits in (2, 3, 4):
        assert mean_error(bits, mse=True) <= mean_error(bits, mse=False)


def test_zero_points_are_better_on_average():
    assert mean_error(symmetric=False) <= mean_error()


def test_more_bits_and_smaller_groups_have_smaller_errors():
    by_bits = [mean_error(bits) for bits in (2, 3, 4, 8)]
    assert by_bits == sorted(by_bits, reverse=True)
    by_group = [mean_error(group_size=size) for size in (32, 64, 128)]
    assert by_group == sorted(by_group)


def fixed_scales(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((len(weights),), 0.01), torch.zeros(len(weights))


def by_definition(weight: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
    """Optimal brain quantization in the given order, in double precision, with the inverse shrunk step by step."""
    rest, inverse = weight.double().clone(), torch.linalg.inv(hessian.double())
    codes = torch.zeros_like(rest)
    for column in range(weight.shape[1]):
        codes[:, column] = (rest[:, column] / 0.01).round().clamp(-8, 7)
        error = (rest[:, column] - codes[:, column] * 0.01) / inverse[column, column]
        rest -= error[:, None] * inverse[column]
        inverse -= inverse[:, column : column + 1] * inverse[column] / inverse[column, column]
    return codes.to(torch.int8)


def test_blocks_and_the_cholesky_factor_give_what_the_definition_gives():
    weight, hessian = layer(1)
    hessian.diagonal().add_(0.1 * float(hessian.diagonal().mean()))
    for group in (32, 96, 256):  # blocks of 128, of one group and a rest, and one group for all
        columns = 288 if group == 96 else 256
        wide, matrix = weight[:, :columns], hessian[:columns, :columns]
        if columns > COLUMNS:
            wide = torch.cat([weight, weight[:, :32]], dim=1)
            matrix = torch.block_diag(hessian, hessian[:32, :32])
        problem = prepare(matrix, 0.0, act_order=False, name="w")
        found = solve(wide, problem, group, (-8, 7), fixed_scales).codes
        differing = float((found != by_definition(wide, matrix)).float().mean())
        assert differing < 0.002  # ties that float32 breaks the other way


def test_independent_inputs_leave_nothing_to_make_up_for():
    weight, _ = layer(2)
    problem = prepare(torch.eye(COLUMNS), 0.01, act_order=False, name="w")
    codes = solve(weight, problem, 64, (-8, 7), fixed_scales).codes
    assert torch.equal(codes, (weight / 0.01).round().clamp(-8, 7).to(torch.int8))


def test_an_input_that_is_always_zero_is_rounded_to_nearest():
    weight, hessian = layer(3)
    hessian[5], hessian[:, 5] = 0, 0
    for act_order in (False, True):
        codes = solve(weight, prepare(hessian, 0.01, act_order=act_order, name="w"), 64, (-8, 7), fixed_scales).codes
        assert torch.equal(codes[:, 5], (weight[:, 5] / 0.01).round().clamp(-8, 7).to(torch.int8))


def test_fewer_tokens_than_inputs_are_solved_with_damping():
    weight, hessian = layer(4, tokens=8)
    method = Gptq(build(SchemeSpec("GPTQ-4", {"group_size": 64})))
    solved = method.dequantize(method.solve(weight, prepare(hessian, 1e-8, act_order=False, name="w"), torch.float16))
    rounded = method.dequantize(method.quantize(weight, torch.float16, None))
    assert output_error(hessian, weight, solved) < output_error(hessian, weight, rounded)


def test_what_cannot_be_solved_names_the_layer():
    with pytest.raises(UserError, match=r"inputs of layers\.3\.up"):
        prepare(-torch.eye(8) - torch.ones(8, 8), 0.01, act_order=False, name="layers.3.up")


def test_the_search_keeps_outliers_from_coarsening_a_group():
    method = Gptq(build(SchemeSpec("GPTQ-4", {"group_size": 64, "mse": True})))
    plain = Gptq(build(SchemeSpec("GPTQ-4", {"group_size": 64, "mse": False})))
    weights = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    weights[:, 0] = 6.0
    searched, _ = method.find_scales(weights, torch.float32)
    simple, _ = plain.find_scales(weights, torch.float32)
    assert bool((searched <= simple).all())
    assert bool((searched < simple).any())
