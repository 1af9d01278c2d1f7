"""The reload check on results that are right, and on results that were tampered with in every way it must notice."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from quantgui.jobs.events import TensorDone, Verification, VerificationStatus
from quantgui.jobs.job import QuantizeJob, VerifyJob
from quantgui.pipeline import run
from quantgui.pipeline.comparison import Comparison
from quantgui.pipeline.reload import reload_and_compare
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import ErrorStats

# transformers says that the config's own quantization settings are used; they are.
pytestmark = pytest.mark.filterwarnings("ignore:You passed `quantization_config`")

RECIPE = Recipe(SchemeSpec("INT4", {"group_size": 32}))
UP, GATE = "model.layers.0.mlp.up_proj", "model.layers.0.mlp.gate_proj"


@pytest.fixture
def check(tiny_llama_bf16: Path, tmp_path: Path) -> Callable[..., Verification]:
    """`check(tamper)` quantizes, lets `tamper` change the written tensors, and gives the verdict."""

    def verdict(tamper: Callable[[dict[str, torch.Tensor]], None]) -> Verification:
        out = tmp_path / "out"
        events = []
        run(QuantizeJob(str(tiny_llama_bf16), str(out), RECIPE, verify=False), events.append)
        errors = {e.report.name: e.report.error for e in events if isinstance(e, TensorDone) and e.report.error}
        tensors = load_file(out / "model.safetensors")
        tamper(tensors)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out / "model.safetensors")
        return reload_and_compare(VerifyJob(str(out), str(tiny_llama_bf16), RECIPE, errors), lambda _: None)

    return verdict


def test_an_untouched_result_is_verified_weight_by_weight(check):
    verdict = check(lambda tensors: None)
    assert verdict.status is VerificationStatus.VERIFIED
    assert verdict.tensors_compared == 20
    assert verdict.details == ""


def _scale_of_one_group(tensors):
    tensors[f"{UP}.weight_scale"][3, 1] *= 1.5


def _one_code(tensors):
    tensors[f"{UP}.weight_packed"][5, 2] ^= 0x7


def _swapped(tensors):
    for part in ("weight_packed", "weight_scale"):
        tensors[f"{UP}.{part}"], tensors[f"{GATE}.{part}"] = tensors[f"{GATE}.{part}"], tensors[f"{UP}.{part}"]


def _transposed(tensors):
    name = "model.layers.1.self_attn.q_proj.weight_scale"
    tensors[name] = tensors[name].flip(0)


def _kept_norm(tensors):
    tensors["model.norm.weight"][7] += 0.01


@pytest.mark.parametrize("tamper", [_scale_of_one_group, _swapped, _transposed, _kept_norm, _one_code])
def test_a_wrong_result_is_noticed(check, tamper):
    verdict = check(tamper)
    assert verdict.status is VerificationStatus.FAILED
    assert "off by" in verdict.summary or "not what the source holds" in verdict.summary


def test_a_key_too_many_is_noticed(check):
    verdict = check(lambda tensors: tensors.update({f"{UP}.weight_extra": torch.ones(1)}))
    assert verdict.status is VerificationStatus.FAILED
    assert "unexpected" in verdict.summary


@pytest.mark.parametrize(("factor", "passes"), [(1 + 2.0**-9, True), (1.02, False), (1.1, False)])
def test_the_library_may_round_once_and_no_more(factor, passes):
    """Every element counts by itself: a small weight that is wrong by two percent does not hide behind a large one."""
    ours = torch.tensor([[1.0, 0.01]])
    theirs = (ours * torch.tensor([[1.0, factor]])).to(torch.bfloat16)
    comparison = Comparison()
    comparison.add("w", ours.bfloat16().float(), theirs)
    assert (not comparison.failures) is passes


def test_kept_values_that_are_not_finite_equal_themselves():
    comparison = Comparison()
    weights = torch.tensor([1.0, float("nan"), float("inf")])
    comparison.add("w", weights, weights.clone())
    comparison.add_source("w", weights, weights.clone(), None)
    assert comparison.failures == ()
    assert not comparison.finite


def test_an_error_that_is_not_the_counted_one_is_noticed():
    ones = torch.ones(100)
    expected = ErrorStats(0.01, 0.1, None, None, None, 0.0, 0.0)
    for error, passes in ((0.1, True), (0.2, False)):
        comparison = Comparison()
        comparison.add_source("w", ones, ones + error, expected)
        assert (not comparison.failures) is passes
