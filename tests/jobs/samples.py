"""Small jobs, reports and records for the tests of this room."""

from __future__ import annotations

from quantgui.jobs.events import QuantizeResult, Verification, VerificationStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RunRecord
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
