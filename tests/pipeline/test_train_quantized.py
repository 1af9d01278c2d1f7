"""A training inside a quantization: what is written is what was trained, and it can be stopped and taken up again."""

from pathlib import Path

import pytest
import torch

from quantgui.checkpoint import open_checkpoint
from quantgui.jobs import early_stop
from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Event, Finished, Log, Started, TrainingStep, VerificationStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import read_record
from quantgui.jobs.saved_training import training_file
from quantgui.pipeline import run, train_quantized
from quantgui.pipeline.reload import dequantized_weights
from quantgui.pipeline.train_quantized import PreparedTraining, prepare_training
from quantgui.quant.assignment import assign
from quantgui.quant.registry import arithmetic
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import UserError
from tests.calibration.models import write_tokenizer

SMALL = {"group_size": 32, "steps": 3, "batch": 2, "context": 16}


@pytest.fixture
def model(make_llama) -> Path:
    return write_tokenizer(make_llama("with-tokenizer", dtype="BF16"))


@pytest.fixture
def text(tmp_path) -> str:
    path = tmp_path / "training.txt"
    path.write_text("The quick brown fox jumps over the lazy dog. " * 20, encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def nobody_asked_to_stop():
    early_stop.REQUESTED.clear()
    threads = torch.get_num_threads()
    yield
    early_stop.REQUESTED.clear()
    torch.set_num_threads(threads)


def job(model: Path, text: str, out: Path, scheme_id: str = "QAT-INT4", **options) -> QuantizeJob:
    parameters = SMALL | {"calibration": text} | options.pop("parameters", {})
    if scheme_id == "QAT-INT8":
        del parameters["group_size"]
    recipe = Recipe(SchemeSpec(scheme_id, parameters), options.pop("rules", ()))
    return QuantizeJob(str(model), str(out), recipe, **{"verify": False, "threads": 1, **options})


def run_here(job: QuantizeJob) -> list[Event]:
    events: list[Event] = []
    run(job, events.append)
    return events


def steps(events: list[Event]) -> list[int]:
    return [event.step for event in events if isinstance(event, TrainingStep) and not event.replayed]


def weights(out: Path, model: Path, recipe: Recipe) -> dict[str, torch.Tensor]:
    return dict(dequantized_weights(open_checkpoint(out), assign(open_checkpoint(model), recipe)))


def test_the_written_weights_are_the_trained_ones_rounded_and_the_rest_is_kept(model, text, tmp_path, monkeypatch):
    trained: dict[str, torch.Tensor] = {}
    original = PreparedTraining.run
    monkeypatch.setattr(PreparedTraining, "run", lambda *a: trained.update(original(*a)) or trained)
    work = job(
        model, text, tmp_path / "out", rules=(Rule("*layers.0.mlp*", None), Rule("*o_proj*", SchemeSpec("INT8")))
    )
    events = run_here(work)
    assert steps(events) == [1, 2, 3]
    kept = read_record(tmp_path / "out").training
    assert kept is not None and kept.is_over and (kept.step, len(kept.points)) == (3, 3)
    assignments = {a.tensor.name: a for a in assign(open_checkpoint(model), work.recipe)}
    assert set(trained) == {name for name, a in assignments.items() if a.scheme and a.scheme.method == "qat"}
    before = dict(
        dequantized_weights(open_checkpoint(model), assign(open_checkpoint(model), Recipe(SchemeSpec("FP32"))))
    )
    for name, after in weights(tmp_path / "out", model, work.recipe).items():
        scheme = assignments[name].scheme
        if scheme is None:
            assert torch.equal(after, before[name])
        elif scheme.method == "qat":
            method = arithmetic(scheme)
            assert torch.equal(after, method.dequantize(method.quantize(trained[name], torch.bfloat16, None)))
            assert not torch.equal(trained[name], before[name])


@pytest.mark.slow
def test_transformers_loads_the_result(model, text, tmp_path):
    outcome = run_here(job(model, text, tmp_path / "out", verify=True))[-1]
    assert isinstance(outcome, Finished), outcome
    assert outcome.quantized is not None
    assert outcome.quantized.verification.status is VerificationStatus.VERIFIED


def test_a_stop_keeps_what_was_learned_and_can_be_taken_up_to_the_same_end(model, text, tmp_path):
    cache = tmp_path / "cache"
    run_here(job(model, text, tmp_path / "whole"))
    first = job(model, text, tmp_path / "stopped", cache=str(cache))

    events: list[Event] = []

    def stop_after_one(event: Event) -> None:
        events.append(event)
        if isinstance(event, TrainingStep):
            early_stop.REQUESTED.set()

    run(first, stop_after_one)
    assert steps(events) == [1]
    assert any(isinstance(e, Log) and "stopped after 1 of 3" in e.text for e in events)
    assert training_file(cache, first.id).is_file()
    early_stop.REQUESTED.clear()
    events = run_here(job(model, text, tmp_path / "resumed", cache=str(cache), resume=first.id))
    assert steps(events) == [2, 3]
    assert not training_file(cache, first.id).exists()  # converted: nothing is left to take up
    one, other = tmp_path / "whole" / "model.safetensors", tmp_path / "resumed" / "model.safetensors"
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes() != (tmp_path / "stopped" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_parent_stops_a_training_in_the_child(model, text, tmp_path):
    child = ChildProcess(job(model, text, tmp_path / "out", parameters={"steps": 100_000}))
    events = []
    for event in child.events():
        events.append(event)
        if isinstance(event, TrainingStep):
            child.stop_early()
    assert isinstance(events[-1], Finished), events[-1]
    assert 1 <= len(steps(events)) < 1000


def test_what_is_saved_survives_a_failure_and_a_cancelled_run(model, text, tmp_path, monkeypatch):
    monkeypatch.setattr("quantgui.pipeline.training.loop.SAVE_SECONDS", 0.0)
    work = job(model, text, tmp_path / "out", cache=str(tmp_path / "cache"))

    def fail_at_two(event: Event) -> None:
        if isinstance(event, TrainingStep) and event.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(work, fail_at_two)
    assert not (tmp_path / "out").exists()
    assert steps(run_here(job(model, text, tmp_path / "out", cache=str(tmp_path / "cache"), resume=work.id))) == [2, 3]


def test_a_full_disk_does_not_end_a_training(model, text, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("quantgui.pipeline.training.loop.SAVE_SECONDS", 0.0)
    monkeypatch.setattr(train_quantized.saved, "save", full)
    events = run_here(job(model, text, tmp_path / "out", cache=str(tmp_path / "cache")))
    assert steps(events) == [1, 2, 3]
    assert len([e for e in events if isinstance(e, Log) and "could not be saved after step 1" in e.text]) == 1
    assert len([e for e in events if isinstance(e, Log) and "could not be saved" in e.text]) == 1


def test_taking_up_needs_the_saved_training(model, text, tmp_path):
    with pytest.raises(UserError, match="no stopped training 0badcafe"):
        run_here(job(model, text, tmp_path / "out", cache=str(tmp_path), resume="0badcafe"))
    with pytest.raises(UserError, match="only where it was kept"):
        run_here(job(model, text, tmp_path / "out", resume="0badcafe"))
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_trained_is_told_before_the_start(model, make_llama, text, tmp_path, monkeypatch):
    def refused(source: Path, words: str, **options) -> None:
        events: list[Event] = []
        with pytest.raises(UserError, match=words):
            run(job(source, text, tmp_path / "out", **options), events.append)
        assert not any(isinstance(event, Started) for event in events)
        assert not list(tmp_path.glob("out*"))

    short = tmp_path / "short.txt"
    short.write_text("too short", encoding="utf-8")
    refused(model, "9 tokens", parameters={"calibration": str(short)})
    refused(make_llama("no-tokenizer"), "no tokenizer")
    refused(write_tokenizer(make_llama("encoder", architectures=["BertModel"], model_type="bert")), "cannot be trained")
    monkeypatch.setattr(train_quantized, "BYTES_PER_TRAINED", 10**15)
    refused(model, "GiB of memory")


def test_a_recipe_without_trained_weights_needs_no_training(model):
    source = open_checkpoint(model)
    plain = QuantizeJob(str(model), "out", Recipe(SchemeSpec("INT4")))
    assert prepare_training(plain, source, assign(source, plain.recipe)) is None
