"""Runs with a calibrated method: what is written, what is told, and how each thing that can go wrong ends."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from quantgui.checkpoint import open_checkpoint
from quantgui.jobs.events import Event, Finished, Log, Progress, Stage, Started, TensorDone, VerificationStatus
from quantgui.jobs.job import QuantizeJob, VerifyJob
from quantgui.pipeline import run
from quantgui.pipeline.reload import dequantized_weights, reload_and_compare
from quantgui.pipeline.simulation import SIMULATION_NAME, Simulation, load_simulation
from quantgui.quant.assignment import assign
from quantgui.quant.calibrated import Fold
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import TensorReport, UserError
from tests.calibration.models import saved, write_tokenizer
from tests.pipeline.fake_gpu import CPU, GPU, OneThread, fake_gpu

SMALL = {"samples": 4, "sample_length": 32, "group_size": 32}


@pytest.fixture
def model(tiny_llama_bf16: Path) -> Path:
    """The tiny Llama in BF16, with a tokenizer."""
    return write_tokenizer(tiny_llama_bf16)


def gptq(bits: int = 4, *rules: Rule, **parameters: Any) -> Recipe:
    return Recipe(SchemeSpec(f"GPTQ-{bits}", SMALL | parameters), rules)


def run_job(source: Path, output: Path, recipe: Recipe, **options: Any) -> list[Event]:
    events: list[Event] = []
    run(QuantizeJob(str(source), str(output), recipe, **{"verify": False, **options}), events.append)
    return events


def reports_of(events: list[Event]) -> dict[str, TensorReport]:
    return {e.report.name: e.report for e in events if isinstance(e, TensorDone)}


@pytest.mark.parametrize(
    ("bits", "parameters"),
    [
        (2, {"static_order": False, "mse": False}),
        (3, {"act_order": True, "symmetric": False}),
        (4, {}),
        (4, {"true_sequential": False, "granularity": "channel"}),
        (8, {"format": "compressed-tensors"}),
    ],
)
def test_each_layers_output_error_is_at_most_that_of_rounding(bits, parameters, model, tmp_path):
    events = run_job(model, tmp_path / "out", gptq(bits, **parameters))
    quantized = [report for report in reports_of(events).values() if report.scheme_id is not None]
    assert len(quantized) == 14
    for report in quantized:
        assert report.output_error is not None
        assert report.output_error_rounded is not None
        assert 0 < report.output_error <= report.output_error_rounded
    assert isinstance(events[-1], Finished)
    assert not (tmp_path / "out" / SIMULATION_NAME).exists()
    layers = [event.detail for event in events if isinstance(event, Stage) and event.title == "Calibrating"]
    assert layers == ["Layer 1 of 2", "Layer 2 of 2"]


def test_shards_and_reports_keep_the_order_of_the_checkpoint(tiny_llama_sharded, tmp_path):
    from quantgui.jobs.run_record import read_run

    events = run_job(write_tokenizer(tiny_llama_sharded), tmp_path / "out", gptq())
    source = open_checkpoint(tiny_llama_sharded)
    assert [report.name for report in read_run(tmp_path / "out")[1]] == [tensor.name for tensor in source.tensors]
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 3
    started = next(event for event in events if isinstance(event, Started))
    assert started.total_tensors == len(source.tensors)


def test_other_schemes_of_a_mixed_recipe_are_streamed_as_ever(model, tmp_path):
    rules = (Rule("*attn*", SchemeSpec("INT8")), Rule("*layers.1.mlp.up*", None))
    recipe = gptq(4, *rules, format="compressed-tensors")
    reports = reports_of(run_job(model, tmp_path / "out", recipe))
    alone = reports_of(run_job(model, tmp_path / "alone", Recipe(SchemeSpec("INT8"))))
    for name, report in reports.items():
        if "attn" in name and report.scheme_id is not None:
            assert report.scheme_id == "INT8"
            assert report.output_error is None
            assert report.error == alone[name].error
    assert reports["model.layers.1.mlp.up_proj.weight"].scheme_id is None
    assert reports["model.layers.0.mlp.up_proj.weight"].output_error is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        gptq(3, act_order=True, symmetric=False),
        gptq(2, Rule("*layers.1.self_attn*", None), format="gptq_v2"),
        gptq(4, Rule("*attn*", SchemeSpec("INT8")), format="compressed-tensors", symmetric=False, act_order=True),
    ],
    ids=["v1-act-order-3-bit", "v2-with-kept-layers", "compressed-tensors-mixed"],
)
def test_the_output_is_reloaded_and_its_logits_are_those_of_the_simulation(recipe, model, tmp_path):
    *_, finished = run_job(model, tmp_path / "out", recipe, verify=True)  # the check starts a process of its own
    assert isinstance(finished, Finished), finished
    assert finished.quantized is not None
    check = finished.quantized.verification
    assert check.status is VerificationStatus.VERIFIED
    assert check.tensors_compared == 20
    assert "Its logits equal those of the calibrated model" in check.summary


def test_logits_that_differ_and_folds_are_noticed(model, tmp_path):
    """A cast needs no calibration: what calibration leaves behind is made up here, right and wrong."""
    out, recipe = tmp_path / "out", Recipe(SchemeSpec("BF16"))
    reports = reports_of(run_job(model, out, recipe))
    errors = {name: report.error for name, report in reports.items() if report.error is not None}
    ids = torch.arange(8)
    from quantgui.pipeline.library_model import load_model

    with torch.no_grad():
        logits = load_model(model).float()(input_ids=ids[None]).logits[0]

    def verdict(simulation: Simulation) -> VerificationStatus:
        simulation.save(out)
        return reload_and_compare(VerifyJob(str(out), str(model), recipe, errors), lambda _: None).status

    assert verdict(Simulation(ids, logits)) is VerificationStatus.VERIFIED
    assert verdict(Simulation(ids, logits * 1.1)) is VerificationStatus.FAILED
    fold = Fold(rows=torch.full((64,), 2.0))
    assert verdict(Simulation(ids, logits, {"model.norm.weight": fold})) is VerificationStatus.FAILED


def test_a_simulation_survives_its_file(tmp_path):
    folds = {"norm": Fold(rows=torch.arange(3.0), offset=1.0), "up": Fold(columns=torch.arange(4.0))}
    Simulation(torch.arange(5), torch.randn(5, 7), folds).save(tmp_path)
    loaded = load_simulation(tmp_path)
    assert loaded is not None
    assert loaded.logits.shape == (5, 7)
    weight = torch.ones(2, 4)
    assert torch.equal(loaded.folds["up"].apply(weight), torch.arange(4.0).expand(2, 4))
    assert torch.equal(loaded.folds["norm"].apply(torch.ones(3)), 2 * torch.arange(3.0) - 1)
    assert load_simulation(tmp_path / "none") is None


def test_an_expert_that_no_token_reaches_is_rounded_and_named(tmp_path):
    folder = saved(tmp_path / "model", "mixtral", "MixtralForCausalLM", num_local_experts=8, num_hidden_layers=1)
    write_tokenizer(folder)
    text = tmp_path / "text.txt"
    text.write_text("aa")
    recipe = Recipe(
        SchemeSpec(
            "GPTQ-4",
            {"group_size": 32, "format": "compressed-tensors", "calibration": str(text), "sample_length": 2},
        )
    )
    events = run_job(folder, tmp_path / "out", recipe)
    (told,) = [event.text for event in events if isinstance(event, Log) and "No calibration token" in event.text]
    unseen = [r.name for r in reports_of(events).values() if r.scheme_id is not None and r.output_error is None]
    assert unseen
    assert all(".experts." in name for name in unseen)
    assert unseen[0] in told
    started = next(event for event in events if isinstance(event, Started))
    assert any("1 samples of 2 tokens" in warning for warning in started.warnings)


def test_the_walk_computes_with_what_is_written(model, tmp_path):
    """The logits that the check asks for are those of the written weights, as the library holds them: in 16 bits."""
    from quantgui.pipeline import quantize as module
    from quantgui.pipeline.library_model import load_model

    kept: list[Simulation] = []
    original = Simulation.save
    recipe = gptq(4, Rule("*attn*", SchemeSpec("INT4", {"group_size": 32})), format="compressed-tensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Simulation, "save", lambda self, folder: (kept.append(self), original(self, folder))[0])
        module.quantize(QuantizeJob(str(model), str(tmp_path / "out"), recipe, verify=False), lambda _: None)
    dense = load_model(model).float()
    state = dense.state_dict()
    for name, weight in dequantized_weights(open_checkpoint(tmp_path / "out"), assign(open_checkpoint(model), recipe)):
        state[name].copy_(weight.bfloat16())
    with torch.no_grad():
        logits = dense(input_ids=kept[0].ids[None]).logits[0]
    torch.testing.assert_close(kept[0].logits, logits, rtol=1e-4, atol=1e-5)


def nothing_left(tmp_path: Path) -> bool:
    return not any("out" in path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"abc\x00", "binary"), (b"short", "fewer than the 32 of one sample")],
)
def test_calibration_files_that_cannot_be_used(content, words, model, tmp_path):
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    with pytest.raises(UserError, match=words):
        run_job(model, tmp_path / "out", gptq(4, calibration=str(text)))
    assert nothing_left(tmp_path)


def test_a_model_without_tokenizer(tiny_llama_bf16, tmp_path):
    with pytest.raises(UserError, match="no tokenizer"):
        run_job(tiny_llama_bf16, tmp_path / "out", gptq())
    assert nothing_left(tmp_path)


def test_a_bare_file(model, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (model / "model.safetensors").rename(bare / "weights.safetensors")
    (bare / "config.json").write_text((model / "config.json").read_text())
    with pytest.raises(UserError, match="bare weight file"):
        run_job(bare / "weights.safetensors", tmp_path / "out", gptq())
    assert nothing_left(tmp_path)


def test_a_group_size_that_divides_nothing(model, tmp_path):
    with pytest.raises(UserError, match="changes nothing") as caught:
        run_job(model, tmp_path / "out", gptq(4, group_size=256))
    assert "group size 256 does not divide" in caught.value.hint
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("written_as", "words"),
    [
        ("compressed-tensors", r"inputs of model\.layers\.0\.mlp\.down_proj\.weight are not finite"),
        ("gptq", "too large"),
    ],
)
def test_activations_and_scales_that_are_not_finite(written_as, words, make_llama, tmp_path):
    tensors = {name: t.numpy() for name, t in load_file(make_llama("whole") / "model.safetensors").items()}
    for name in ("gate_proj", "up_proj"):
        tensors[f"model.layers.0.mlp.{name}.weight"][:] = 1e30
    broken = write_tokenizer(make_llama("broken", tensors=tensors))
    with pytest.raises(UserError, match=words):
        run_job(broken, tmp_path / "out", gptq(format=written_as))
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_memory_that_runs_out_in_a_layer(error, model, tmp_path, monkeypatch):
    from quantgui.quant.methods import gptq as module

    real = module.prepare

    def prepare(*args: Any, name: str, **options: Any) -> Any:
        if "layers.1" in name:
            raise error
        return real(*args, name=name, **options)

    monkeypatch.setattr(module, "prepare", prepare)
    with pytest.raises(UserError, match="ran out in layer 2 of 2") as caught:
        run_job(model, tmp_path / "out", gptq())
    assert "fewer or shorter" in caught.value.hint
    assert nothing_left(tmp_path)


@pytest.fixture
def gpu(monkeypatch):
    """`gpu()`: a context in which jobs run on a device that refuses to mix with the CPU's tensors."""
    from quantgui.pipeline import calibrated, quantize

    monkeypatch.setattr(calibrated, "ThreadPoolExecutor", OneThread)
    monkeypatch.setattr(quantize, "choose_device", lambda name: GPU if name == "cuda" else CPU)
    return fake_gpu


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("GPTQ-3", {"group_size": 32, "act_order": True}),
        ("AWQ-4", {"group_size": 32}),
        ("W8A8", {}),
        ("SmoothQuant-W8A8", {"per_layer": True}),
        ("FP8", {"activations": "static"}),
        ("LLM.int8", {"count_outliers": True}),
    ],
)
def test_a_gpu_writes_what_the_cpu_writes(method, parameters, model, gpu, tmp_path):
    recipe = Recipe(SchemeSpec(method, {"samples": 4, "sample_length": 32} | parameters))
    with gpu():
        run_job(model, tmp_path / "gpu", recipe, device="cuda")
    run_job(model, tmp_path / "cpu", recipe)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("gpu", "cpu"))
    assert [name for name, tensor in theirs.items() if not torch.equal(ours[name], tensor)] == []


def run_out_of_memory_once(monkeypatch: pytest.MonkeyPatch, at: str, layers: list[str]) -> None:
    """In the second layer or right after it, when a part of the work is done."""
    from quantgui.calibration import walk as walks
    from quantgui.calibration import weights as loading
    from quantgui.pipeline import calibrated

    owner, name = {
        "loading": (loading.WeightLoader, "load"),
        "capture": (walks.Block, "capture"),
        "writing": (calibrated, "quantize_tensor"),
        "advancing": (walks.Walk, "_advance"),
        "logits": (walks.Walk, "logits"),
    }[at]
    real = getattr(owner, name)
    last = "Layer 1 of 2" if at == "loading" else "Layer 2 of 2"

    def full(*arguments: Any, **options: Any) -> Any:
        if last not in layers:
            return real(*arguments, **options)
        monkeypatch.setattr(owner, name, real)
        if at == "advancing":
            walk, run_block, index = arguments
            return real(walk, lambda sample: run_block(sample) if sample < 2 else raised(), index)
        real(*arguments, **options)
        return raised()

    def raised() -> Any:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(owner, name, full)


@pytest.mark.parametrize("at", ["loading", "capture", "writing", "advancing", "logits"])
@pytest.mark.parametrize("method", ["GPTQ-4", "AWQ-4", "SmoothQuant-W8A8"])
def test_a_gpu_that_runs_out_of_memory_hands_over_to_the_cpu(at, method, model, gpu, tmp_path, monkeypatch):
    """Nothing that is finished is done again, and what is written is what a run on the CPU writes."""
    from quantgui.calibration.walk import Walk

    events: list[Event] = []
    layers: list[str] = []
    targets: list[torch.device] = []
    real_move = Walk.move

    def follow(event: Event) -> None:
        events.append(event)
        layers.extend([event.detail] if isinstance(event, Stage) and event.title == "Calibrating" else [])

    sizes = SMALL if method != "SmoothQuant-W8A8" else {"samples": 4, "sample_length": 32}
    recipe = Recipe(SchemeSpec(method, sizes))
    plain = run_job(model, tmp_path / "plain", recipe)
    monkeypatch.setattr(Walk, "move", lambda walk, device: (targets.append(device), real_move(walk, device))[0])
    run_out_of_memory_once(monkeypatch, at, layers)
    with gpu():
        run(QuantizeJob(str(model), str(tmp_path / "out"), recipe, verify=False, device="cuda"), follow)

    assert targets == [torch.device("cpu")]
    assert layers == ["Layer 1 of 2", "Layer 2 of 2", *([] if at in ("loading", "logits") else ["Layer 2 of 2"])]
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "plain"))
    assert ours.keys() == theirs.keys()
    assert [name for name, tensor in theirs.items() if not torch.equal(ours[name], tensor)] == []
    assert reports_of(events) == reports_of(plain)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.quantized is not None
    (told,) = [warning for warning in finished.quantized.warnings if "cuda:0 ran out of memory" in warning]
    assert Log(told, "warning") in events
    progress = [event.done_bytes for event in events if isinstance(event, Progress)]
    assert progress[-1] == open_checkpoint(model).nbytes


def test_too_little_memory_is_told_before_the_start(model, tmp_path, monkeypatch):
    from quantgui.pipeline import calibrated

    class Memory:
        available = 1000

    monkeypatch.setattr(calibrated.psutil, "virtual_memory", lambda: Memory)
    with pytest.raises(UserError, match="Calibration takes about"):
        run_job(model, tmp_path / "out", gptq())
    assert nothing_left(tmp_path)


def test_conv1d_is_refused_in_words(tmp_path):
    folder = saved(tmp_path / "gpt2", "gpt2", "GPT2LMHeadModel", n_embd=64, n_layer=1, n_head=4, n_positions=64)
    with pytest.raises(UserError, match="changes nothing") as caught:
        run_job(write_tokenizer(folder), tmp_path / "out", gptq())
    assert "Conv1D" in caught.value.hint
