"""A finished run of a small model, as the child would have reported it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from quantgui.jobs.events import QuantizeResult, Verification, VerificationStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RunRecord
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import ErrorStats, Histogram, Role, TensorReport

MODULES = ("attn.q", "attn.k", "attn.v", "attn.o", "mlp.gate", "mlp.up", "mlp.down")


def quantized(layer: int, module: str, sqnr_db: float = 20.0) -> TensorReport:
    weights = np.random.default_rng(layer).normal(0, 0.02, 4096)
    counts, edges = np.histogram(weights, 64)
    span = Histogram(float(edges[0]), float(edges[-1]), tuple(int(n) for n in counts))
    step = 0.008
    error = Histogram(-step, step, tuple([3] * 16))
    return TensorReport(
        name=f"model.layers.{layer}.{module}.weight",
        shape=(64, 64),
        role=Role.MLP,
        layer=layer,
        module=module,
        scheme_id="INT4",
        bits=4.125,
        bytes_before=8192,
        bytes_after=2112,
        error=ErrorStats(step**2 / 12, step / 2, sqnr_db, 0.08, 0.995, 0.001, 0.12),
        before=span,
        after=replace(span, counts=tuple(int(n) for n in np.roll(counts, 3))),
        difference=error,
        levels=tuple(step * code for code in range(-8, 8)),
        step=step,
    )


def kept(name: str = "model.norm.weight") -> TensorReport:
    why = "Norms are kept: a few numbers that scale everything."
    return TensorReport(name, (64,), Role.NORM, None, "norm", None, 16.0, 128, 128, why_kept=why)


@pytest.fixture
def reports() -> list[TensorReport]:
    values = np.random.default_rng(7).uniform(15, 30, (4, len(MODULES)))
    layers = [quantized(i, m, float(values[i, j])) for i in range(4) for j, m in enumerate(MODULES)]
    return [*layers, kept()]


@pytest.fixture
def record(reports: list[TensorReport]) -> RunRecord:
    job = QuantizeJob(source="/models/tiny", output="/out/tiny-INT4", recipe=Recipe(SchemeSpec("INT4")))
    before, after = sum(r.bytes_before for r in reports), sum(r.bytes_after for r in reports)
    result = QuantizeResult(
        job=job,
        output=job.output,
        bytes_before=before,
        bytes_after=after,
        file_bytes=after + 500,
        parameters=before // 2,
        seconds=3.2,
        peak_anonymous_bytes=300 * 2**20,
        verification=Verification(
            VerificationStatus.VERIFIED, "All 29 tensors are as we wrote them.", "transformers 5", 29
        ),
    )
    return RunRecord(result=result, versions={"torch": "2.13.0"}, sha256={"model.safetensors": "ab" * 32})


@pytest.fixture
def make_report() -> Callable[..., TensorReport]:
    return quantized
