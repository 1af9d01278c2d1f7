"""The run in this process: what is written, what is said, and what is left behind when something fails."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.fit.estimate import estimate_recipe
from quantgui.fit.settings import FitSettings
from quantgui.hardware.custom import custom_target
from quantgui.jobs.events import Event, Finished, Progress, Started, TensorDone, VerificationStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import read_run
from quantgui.pipeline import run
from quantgui.pipeline.reload import dequantized_weights
from quantgui.quant.assignment import assign
from quantgui.quant.registry import rows
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import UserError
from tests.calibration.models import write_tokenizer

INT4 = Recipe(SchemeSpec("INT4", {"group_size": 32}))


@pytest.fixture
def weights(tiny_llama_folder) -> dict[str, np.ndarray]:
    """The tiny Llama's weights, to be damaged and saved again."""
    return load_file(tiny_llama_folder / "model.safetensors")


def job(source: Path, output: Path, recipe: Recipe = INT4, **options) -> QuantizeJob:
    return QuantizeJob(str(source), str(output), recipe, **{"verify": False, **options})


def run_job(job: QuantizeJob) -> list[Event]:
    events: list[Event] = []
    run(job, events.append)
    return events


def recipe_for(scheme_id: str, text: Path) -> Recipe:
    """The row with groups that fit the tiny model, and a training or calibration that takes no time."""
    names = {p.name for row in rows() if row.id == scheme_id for p in row.parameters}
    small = {"group_size": 32, "calibration": str(text), "steps": 1, "batch": 1, "context": 16}
    return Recipe(SchemeSpec(scheme_id, {name: value for name, value in small.items() if name in names}))


@pytest.mark.parametrize("scheme_id", [row.id for row in rows()])
def test_estimate_equals_the_bytes_written_for_every_row(scheme_id, tiny_llama_bf16, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 20, encoding="utf-8")
    recipe = recipe_for(scheme_id, text)
    write_tokenizer(tiny_llama_bf16)
    events = run_job(job(tiny_llama_bf16, tmp_path / "out", recipe))
    written = sum(p.stat().st_size for p in (tmp_path / "out").glob("*.safetensors"))
    target = custom_target("t", vram_gib=8, ram_gib=16)
    estimate = estimate_recipe(open_checkpoint(tiny_llama_bf16), recipe, target, FitSettings())
    assert estimate.file_bytes == written
    assert isinstance(events[-1], Finished)
    assert events[-1].quantized is not None
    assert events[-1].quantized.file_bytes == written
    assert open_checkpoint(tmp_path / "out").nbytes == events[-1].quantized.bytes_after


def test_events_come_in_order_and_progress_reaches_the_total(tiny_llama_sharded, tmp_path):
    events = run_job(job(tiny_llama_sharded, tmp_path / "out"))
    started = next(e for e in events if isinstance(e, Started))
    progress = [e.done_bytes for e in events if isinstance(e, Progress)]
    assert progress == sorted(progress)
    assert progress[-1] == started.total_bytes
    reports = [e.report for e in events if isinstance(e, TensorDone)]
    assert len(reports) == started.total_tensors
    assert sum(r.bytes_before for r in reports) == started.total_bytes
    assert all((r.error is not None) == (r.scheme_id is not None) for r in reports)
    record, saved = read_run(tmp_path / "out")
    assert [r.name for r in saved] == [r.name for r in reports]
    assert set(record.sha256) >= {"config.json", "model.safetensors.index.json"}


def test_a_mix_of_schemes_and_kept_layers(tiny_llama_folder, tmp_path):
    rules = (Rule("*attn*", SchemeSpec("INT8")), Rule("*layers.1*", None))
    events = run_job(job(tiny_llama_folder, tmp_path / "out", Recipe(INT4.base, rules)))
    schemes = {e.report.name: e.report.scheme_id for e in events if isinstance(e, TensorDone)}
    assert schemes["model.layers.0.self_attn.q_proj.weight"] == "INT8"
    assert schemes["model.layers.0.mlp.up_proj.weight"] == "INT4"
    assert schemes["model.layers.1.mlp.up_proj.weight"] is None


def test_dequantized_output_is_within_half_a_step_of_the_source(tiny_llama_folder, tmp_path):
    run_job(job(tiny_llama_folder, tmp_path / "out"))
    source = open_checkpoint(tiny_llama_folder)
    with TensorData(source) as data:
        originals = {t.name: data.tensor(t) for t in source.tensors}
        for name, ours in dequantized_weights(open_checkpoint(tmp_path / "out"), assign(source, INT4)):
            step = float(originals[name].abs().max()) / 7.5
            assert float((ours - originals[name]).abs().max()) <= step / 2 * 1.01


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_ends_with_its_name_and_leaves_nothing(bad, weights, make_llama, tmp_path):
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = bad
    source = make_llama("broken", tensors=weights)
    with pytest.raises(UserError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        run_job(job(source, tmp_path / "out"))
    assert {p.name for p in tmp_path.iterdir()} == {"llama", "broken"}
    # Kept by a rule, it passes through unchanged.
    run_job(job(source, tmp_path / "out", Recipe(INT4.base, (Rule("*layers.1.mlp.up*", None),))))


def test_all_zero_and_constant_weights(weights, make_llama, tmp_path):
    weights["model.layers.0.mlp.up_proj.weight"][:] = 0
    weights["model.layers.0.mlp.down_proj.weight"][:] = 0.25
    events = run_job(job(make_llama("flat", tensors=weights), tmp_path / "out"))
    reports = {e.report.name: e.report for e in events if isinstance(e, TensorDone)}
    zero = reports["model.layers.0.mlp.up_proj.weight"]
    assert zero.error is not None
    assert zero.error.max_abs == 0
    assert zero.error.sqnr_db is None


def test_odd_widths_are_kept_and_said_before_the_start(weights, make_llama, tmp_path):
    weights["model.layers.0.mlp.down_proj.weight"] = weights["model.layers.0.mlp.down_proj.weight"][:, :100]
    events = run_job(job(make_llama("odd", tensors=weights), tmp_path / "out"))
    started = next(e for e in events if isinstance(e, Started))
    assert any("group size 32 does not divide 100" in w for w in started.warnings)


def test_an_existing_folder_is_replaced_only_when_asked_and_only_if_it_is_a_run(tiny_llama_folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "diary.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="not empty"):
            run_job(job(tiny_llama_folder, out, overwrite=overwrite))
    assert (out / "diary.txt").read_text() == "mine"
    (out / "diary.txt").unlink()
    run_job(job(tiny_llama_folder, out))
    with pytest.raises(UserError, match="not empty"):
        run_job(job(tiny_llama_folder, out))
    run_job(job(tiny_llama_folder, out, Recipe(SchemeSpec("INT8")), overwrite=True))
    assert read_run(out)[0].result.job.recipe.base.id == "INT8"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["llama", "out"]


def test_the_source_folder_is_never_the_target(tiny_llama_folder):
    with pytest.raises(UserError, match="own folder"):
        run_job(job(tiny_llama_folder, tiny_llama_folder))


def test_a_full_disk_is_told_before_the_start(tiny_llama_folder, tmp_path, monkeypatch):
    import shutil

    class Usage:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(UserError, match="The disk has"):
        run_job(job(tiny_llama_folder, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_changes_nothing_is_refused(tiny_llama_folder, tmp_path):
    with pytest.raises(UserError, match="changes nothing"):
        run_job(job(tiny_llama_folder, tmp_path / "out", Recipe(INT4.base, (Rule("*", None),))))


def test_an_already_quantized_checkpoint_is_refused(tiny_llama_folder, tmp_path):
    run_job(job(tiny_llama_folder, tmp_path / "once"))
    with pytest.raises(UserError, match="already quantized"):
        run_job(job(tmp_path / "once", tmp_path / "twice"))


def test_a_bare_file_without_config_can_be_cast_but_not_packed(tiny_llama_folder, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (tiny_llama_folder / "model.safetensors").rename(bare / "weights.safetensors")
    with pytest.raises(UserError, match=r"config\.json"):
        run_job(job(bare / "weights.safetensors", tmp_path / "out"))
    events = run_job(job(bare / "weights.safetensors", tmp_path / "out", Recipe(SchemeSpec("FP16")), verify=True))
    assert isinstance(events[-1], Finished)
    assert events[-1].quantized is not None
    assert events[-1].quantized.verification.status is VerificationStatus.NOT_VERIFIED


def test_companions_come_along_but_never_code(tiny_llama_folder, tmp_path):
    for name in ("tokenizer.json", "tokenizer_config.json", "LICENSE", "modeling_evil.py", "tokenizer_evil.py"):
        (tiny_llama_folder / name).write_text("{}")
    run_job(job(tiny_llama_folder, tmp_path / "out"))
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"tokenizer.json", "tokenizer_config.json", "LICENSE", "README.md", "config.json"} <= names
    assert not any(name.endswith(".py") for name in names)


def test_a_device_that_runs_out_of_memory_hands_over_to_the_cpu(tiny_llama_folder, tmp_path, monkeypatch):
    import torch

    from quantgui.jobs.events import Log
    from quantgui.pipeline import quantize as module

    real = module.quantize_tensor

    def failing(assignment, tensor, device, *rest):
        if device.type != "cpu":
            raise torch.OutOfMemoryError("out of memory")
        return real(assignment, tensor, device, *rest)

    monkeypatch.setattr(module, "quantize_tensor", failing)
    monkeypatch.setattr(module, "choose_device", lambda _: torch.device("meta"))
    events = run_job(job(tiny_llama_folder, tmp_path / "out", device="cuda"))
    assert isinstance(events[-1], Finished)
    assert any(isinstance(e, Log) and "ran out of memory" in e.text for e in events)


def test_a_device_that_is_not_there_is_refused(tiny_llama_folder, tmp_path):
    with pytest.raises(UserError, match="cannot be used"):
        run_job(job(tiny_llama_folder, tmp_path / "out", device="cuda:93"))


def test_a_rule_that_matches_nothing_is_said(tiny_llama_folder, tmp_path):
    rules = (Rule("*mistyped*", SchemeSpec("INT8")), Rule("*attn*", SchemeSpec("INT8")))
    events = run_job(job(tiny_llama_folder, tmp_path / "out", Recipe(INT4.base, rules)))
    started = next(e for e in events if isinstance(e, Started))
    assert [w for w in started.warnings if "mistyped" in w]
    assert not [w for w in started.warnings if "attn" in w]
