"""Tensors of unusual shape, type and size go through the run and come out as they should."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from quantgui.checkpoint import open_checkpoint
from quantgui.jobs.codec import decode_event, encode_event
from quantgui.jobs.events import Event, TensorDone
from quantgui.jobs.job import InspectJob, QuantizeJob
from quantgui.pipeline import run
from quantgui.pipeline.reload import dequantized_weights
from quantgui.quant.assignment import assign
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import TensorReport, UserError

NAME = "model.layers.0.mlp.up_proj.weight"


def quantize(source: Path, output: Path, recipe: Recipe) -> dict[str, TensorReport]:
    events: list[Event] = []
    run(QuantizeJob(str(source), str(output), recipe, verify=False, threads=3), events.append)
    assert [decode_event(encode_event(event)) for event in events] == events  # nothing became null on its way
    return {e.report.name: e.report for e in events if isinstance(e, TensorDone)}


def reread(source: Path, output: Path, recipe: Recipe) -> dict[str, torch.Tensor]:
    return dict(dequantized_weights(open_checkpoint(output), assign(open_checkpoint(source), recipe)))


@pytest.fixture
def folder(tiny_llama_folder: Path):
    """`folder(**tensors)` adds tensors to the tiny Llama."""

    def add(tensors: dict[str, torch.Tensor]) -> Path:
        path = tiny_llama_folder / "model.safetensors"
        save_file(load_file(path) | tensors, path)
        return tiny_llama_folder

    return add


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("rows", [1, 31, 33, 4099])
def test_rows_that_fill_no_whole_words_of_zero_points(folder, bits, rows, tmp_path):
    """Several blocks of rows in three threads, the last one odd."""
    weight = torch.randn(rows, 256, generator=torch.Generator().manual_seed(rows)) + 1
    recipe = Recipe(SchemeSpec(f"INT{bits}", {"group_size": 32, "symmetric": False}))
    source = folder({NAME: weight})
    report = quantize(source, tmp_path / "out", recipe)[NAME]
    ours = reread(source, tmp_path / "out", recipe)[NAME]
    assert report.error is not None
    assert float((ours - weight).abs().max()) == pytest.approx(report.error.max_abs, rel=1e-6)
    assert report.error.max_abs < 8 / (2**bits - 1)


@pytest.mark.parametrize("scheme_id", ["FP16", "BF16", "FP32", "INT4"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_shape_survives_from_every_float_type(folder, scheme_id, dtype, tmp_path):
    odd = {
        "scalar": torch.tensor(0.5, dtype=dtype),
        "vector": torch.arange(77).to(dtype),
        "stack": (torch.arange(3 * 5 * 7) / 64).to(dtype).view(3, 5, 7),
        "one.column": torch.ones(70, 1, dtype=dtype),
        "empty.rows": torch.empty(0, 5, dtype=dtype),
        "empty.columns": torch.empty(5, 0, dtype=dtype),
        "flags": torch.tensor([True, False]),
        "words": torch.tensor([1, 2**15], dtype=torch.uint16),
        NAME: torch.randn(96, 64, generator=torch.Generator().manual_seed(1)).to(dtype),
    }
    source = folder(odd)
    recipe = Recipe(SchemeSpec(scheme_id, {"group_size": 32} if scheme_id == "INT4" else {}))
    quantize(source, tmp_path / "out", recipe)
    ours = reread(source, tmp_path / "out", recipe)
    for name in ("scalar", "vector", "stack", "one.column", "empty.rows", "empty.columns"):
        assert torch.equal(ours[name], odd[name].float()), name
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(written["flags"], odd["flags"])
    assert torch.equal(written["words"].view(torch.int16), odd["words"].view(torch.int16))


@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e-12, 1e12, 1e30])
@pytest.mark.parametrize("scheme_id", ["INT8", "FP8", "BF16"])
def test_weights_of_absurd_size_give_finite_figures(folder, size, scheme_id, tmp_path):
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(1)) * size
    recipe = Recipe(SchemeSpec(scheme_id))
    report = quantize(folder({NAME: weight}), tmp_path / "out", recipe)[NAME]
    assert report.error is not None
    figures = [report.kurtosis, report.error.mse, report.error.max_abs, report.error.relative, report.error.cosine]
    assert all(figure is None or np.isfinite(figure) for figure in figures)
    if size > 1e-37:
        assert report.error.relative is not None and report.error.relative < 0.05
        assert report.kurtosis == pytest.approx(3, abs=0.5)


def test_inspecting_goes_on_after_a_tensor_that_is_not_finite(folder):
    source = folder({NAME: torch.full((64, 64), float("nan"))})
    events: list[Event] = []
    run(InspectJob(str(source)), events.append)
    reports = {e.report.name: e.report for e in events if isinstance(e, TensorDone)}
    assert reports[NAME].before is None
    assert "not finite" in reports[NAME].why_kept
    assert reports["model.layers.1.mlp.up_proj.weight"].before is not None


def test_a_weight_that_is_not_finite_in_the_second_checkpoint_has_no_errors(folder, make_llama, tmp_path):
    original = make_llama("original")
    source = folder({NAME: torch.full((128, 64), float("inf"))})
    events: list[Event] = []
    run(InspectJob(str(source), against=str(original)), events.append)
    report = next(e.report for e in events if isinstance(e, TensorDone) and e.report.name == NAME)
    assert report.error is None


def test_a_rule_that_keeps_a_broken_tensor_writes_it_bit_by_bit(folder, tmp_path):
    broken = torch.tensor([[float("nan"), 1.0], [float("-inf"), -0.0]]).repeat(64, 32)
    recipe = Recipe(SchemeSpec("INT4", {"group_size": 32}), (Rule(NAME),))
    quantize(folder({NAME: broken}), tmp_path / "out", recipe)
    written = load_file(tmp_path / "out" / "model.safetensors")[NAME]
    assert torch.equal(written.view(torch.int32), broken.view(torch.int32))


def test_types_that_torch_cannot_read_are_told_before_the_start(make_llama, tmp_path):
    source = make_llama()
    path = source / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = raw[8 : 8 + length].replace(b'"shape":[96,64],"dtype":"F32"', b'"dtype":"C64","shape":[96,32]')
    header = header.replace(b'"dtype":"F32","shape":[96,64]', b'"dtype":"C64","shape":[96,32]')
    path.write_bytes(raw[:8] + header + raw[8 + length :])
    with pytest.raises(UserError, match="type C64, which cannot be read"):
        quantize(source, tmp_path / "out", Recipe(SchemeSpec("INT4", {"group_size": 32})))
