"""Laws of the training: it learns, it is deterministic, and a stop in between changes nothing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from quantgui.jobs.events import TrainingStep
from quantgui.pipeline.training.fake_quantized import fake_quantize
from quantgui.pipeline.training.loop import Training, batch, learning_rate
from quantgui.pipeline.training.saved import TrainingIdentity, TrainingRecord, load, save
from quantgui.pipeline.training.settings import TrainingSettings
from quantgui.quant.registry import build
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import TensorInfo, UserError

SETTINGS = TrainingSettings(steps=12, learning_rate=3e-3, batch=2, context=8, distill=False, seed=3)
SPEC = SchemeSpec("QAT-INT4", {"group_size": 32})
IDENTITY = TrainingIdentity("model", Recipe(SPEC), SETTINGS, 80)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TinyLanguageModel(torch.nn.Module):
    """Predicts the next of 16 tokens from the present one through one hidden layer of 64."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.embed = torch.nn.Embedding(16, 64)
        self.up = torch.nn.Linear(64, 64, bias=False)
        self.head = torch.nn.Linear(64, 16, bias=False)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        assert not use_cache
        return SimpleNamespace(logits=self.head(torch.relu(self.up(self.embed(input_ids)))))


def training(settings: TrainingSettings = SETTINGS, *, windows: int = 10) -> Training:
    student = TinyLanguageModel()
    scheme = build(SPEC)
    shapes = {"up.weight": (64, 64), "head.weight": (16, 64)}
    chosen = {name: Assignment(TensorInfo(name, shape, "BF16", 0), scheme) for name, shape in shapes.items()}
    weights = fake_quantize(student, chosen)
    teacher = TinyLanguageModel() if settings.distill else None
    ids = torch.randint(16, (windows, 8), generator=torch.Generator().manual_seed(6))
    return Training(student, weights, teacher, ids, settings)


def finish(work: Training, *, stop_after: int | None = None) -> list[TrainingStep]:
    told: list[TrainingStep] = []
    work.run(told.append, lambda: None, lambda: stop_after is not None and len(told) >= stop_after)
    return told


def test_the_loss_falls_on_a_repeated_batch():
    losses = [step.loss for step in finish(training(replace(SETTINGS, steps=60), windows=1))]
    assert losses[-1] < 0.7 * losses[0]


def test_distillation_brings_the_student_back_to_its_teacher():
    losses = [step.loss for step in finish(training(replace(SETTINGS, steps=60, distill=True), windows=1))]
    assert 0 < losses[-1] < 0.5 * losses[0]


def test_a_training_that_was_stopped_and_taken_up_ends_bit_for_bit_as_one_that_was_not(tmp_path):
    whole = training()
    finish(whole)
    first = training()
    assert [step.step for step in finish(first, stop_after=5)] == [1, 2, 3, 4, 5]
    save(str(tmp_path), "0a", TrainingRecord(IDENTITY, first.step, tuple(first.losses)), first.tensors())
    second = training()
    record, tensors = load(str(tmp_path), "0a", IDENTITY)
    second.take_up(record.step, record.losses, tensors)
    assert [step.step for step in finish(second)] == list(range(6, 13))
    assert second.losses == whole.losses
    for name, weight in whole.weights.items():
        assert torch.equal(weight, second.weights[name])


def test_another_training_or_a_damaged_one_is_not_taken_up(tmp_path):
    work = training()
    save(str(tmp_path), "0a", TrainingRecord(IDENTITY, 0), work.tensors())
    with pytest.raises(UserError, match="another model, recipe, text or settings"):
        load(str(tmp_path), "0a", replace(IDENTITY, source="another"))
    with pytest.raises(UserError, match="no stopped training 0b"):
        load(str(tmp_path), "0b", IDENTITY)
    file = tmp_path / "training" / "0a.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        load(str(tmp_path), "0a", IDENTITY)


def test_a_loss_that_is_no_number_ends_in_words():
    work = training()
    with torch.no_grad():
        work.student.embed.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="no longer a number"):
        finish(work)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero():
    settings = replace(SETTINGS, steps=200, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(200)]
    assert max(rates) == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 1e-3


def test_every_window_comes_once_per_epoch_and_epochs_differ():
    windows = torch.arange(10).unsqueeze(1)
    seen = torch.cat([batch(windows, step, SETTINGS).flatten() for step in range(10)]).tolist()
    first, second = seen[:10], seen[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
