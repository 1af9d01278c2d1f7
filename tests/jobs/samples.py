"""Small jobs, reports and records for the tests of this room."""

from __future__ import annotations

from quantgui.jobs.events import Evaluation, PairedScore, QuantizeResult, Verification, VerificationStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RunRecord
from quantgui.jobs.training_trace import LossPoint, TrainingTrace
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import ErrorStats, Histogram, Role, TensorReport


def job(output: str = "/nowhere/out") -> QuantizeJob:
    recipe = Recipe(SchemeSpec("INT4", {"group_size": 64, "symmetric": True}), (Rule("*.mlp.*", SchemeSpec("INT8")),))
    return QuantizeJob("/nowhere/model", output, recipe, id="0123abcd")


def report(name: str = "model.layers.0.mlp.down_proj.weight", sqnr_db: float | None = 21.5) -> TensorReport:
    histogram = Histogram(-1.0, 1.0, (1, 20, 300, 20, 1))
    return TensorReport(
        name=name,
        shape=(64, 128),
        role=Role.MLP,
        layer=0,
        module="mlp.down",
        scheme_id="INT4",
        bits=4.25,
        bytes_before=16384,
        bytes_after=4352,
        dtype_before="BF16",
        error=ErrorStats(1e-5, 0.01, sqnr_db, 0.08, 0.99, 0.0, 0.02),
        before=histogram,
        after=histogram,
        difference=histogram,
        levels=(-1.0, 0.0, 1.0),
        step=0.1,
        channel_max=(0.5, 1.0),
        kurtosis=3.0,
    )


def record(output: str = "/nowhere/out", created: str = "2026-01-02T03:04:05+00:00") -> RunRecord:
    verification = Verification(VerificationStatus.VERIFIED, "Every tensor is as computed.", "transformers 5.22.0", 9)
    result = QuantizeResult(job(output), output, 16384, 4352, 4600, 8192, 1.5, 10**8, verification)
    return RunRecord(result, {"torch": "2.13.0"}, {"model.safetensors": "00" * 32}, created)


def training(steps: int = 40) -> TrainingTrace:
    """A training that is over, whose loss fell with jumps."""
    points = tuple(LossPoint(step, 0.02 + 0.02 / step + 0.001 * (step % 3)) for step in range(1, steps + 1))
    return TrainingTrace(steps, steps, points, 1, 2.0, 0.5, is_over=True)


def quality() -> Evaluation:
    """A measurement after which the quantized model is clearly worse."""
    paired = PairedScore("/nowhere/model", 12.1669, 0.12, 0.0285, 0.0012)
    return Evaluation(79187, 12.519, 0.12, 512, "evaluation.txt", 80.0, paired)
