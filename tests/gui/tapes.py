"""Recorded event tapes: what a real run says, computed with numpy from random weights, the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from quantgui.jobs.events import (
    Event,
    Finished,
    Log,
    MemorySample,
    Progress,
    QuantizeResult,
    Stage,
    Started,
    TensorDone,
    TrainingStep,
    Verification,
    VerificationStatus,
)
from quantgui.jobs.fold import RunState, fold
from quantgui.jobs.job import QuantizeJob
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import ErrorStats, Histogram, Role, TensorReport

GROUP = 32
MODULES = (
    ("self_attn.q_proj", "attn.q", Role.ATTENTION, (64, 128)),
    ("self_attn.k_proj", "attn.k", Role.ATTENTION, (32, 128)),
    ("self_attn.v_proj", "attn.v", Role.ATTENTION, (32, 128)),
    ("self_attn.o_proj", "attn.o", Role.ATTENTION, (128, 64)),
    ("mlp.gate_proj", "mlp.gate", Role.MLP, (192, 128)),
    ("mlp.up_proj", "mlp.up", Role.MLP, (192, 128)),
    ("mlp.down_proj", "mlp.down", Role.MLP, (128, 192)),
)


@dataclass(frozen=True)
class Tape:
    """A job and its events; one second passes between two of them."""

    job: QuantizeJob
    events: tuple[Event, ...]

    def state(self, count: int | None = None) -> RunState:
        """The state after `count` events (all of them for None)."""
        state = RunState(self.job, started_at=0.0)
        for second, event in enumerate(self.events[:count]):
            state = fold(state, event, float(second))
        return state


@cache
def quantize_tape(layers: int = 6, output: str = "/outputs/demo-INT4", job_id: str = "0123abcd") -> Tape:
    """A whole INT4 run of a small Llama: embeddings and norms kept, one tensor per module and layer."""
    job = QuantizeJob("/models/demo", output, Recipe(SchemeSpec("INT4")), id=job_id)
    reports = _reports(layers)
    total = sum(report.bytes_before for report in reports)
    events: list[Event] = [Stage("Reading the model"), Started(job.id, total, len(reports)), Stage("Quantizing")]
    done = 0
    for index, report in enumerate(reports):
        done += report.bytes_before
        memory = 310_000_000 + int(2e6 * index) + (25_000_000 if index % 7 == 6 else 0)
        events += [
            Progress(done, report.name),
            MemorySample(memory + 3 * done, memory),
            TensorDone(report),
        ]
    events += [
        Log("Layer norms stay as they are."),
        Stage("Checking in a new process"),
        Finished(quantized=_result(job, reports)),
    ]
    return Tape(job, tuple(events))


@cache
def training_tape(steps: int = 40, asked: int = 50, output: str = "/outputs/demo-QAT-INT4") -> Tape:
    """A QAT run whose training has done `steps` of `asked` steps: the loss falls and jumps."""
    job = QuantizeJob("/models/demo", output, Recipe(SchemeSpec("QAT-INT4", {"steps": asked})), id="0123abcd")
    random = np.random.default_rng(3)
    events: list[Event] = [Stage("Reading the model"), Started(job.id, 13_900_288, 56), Stage("Training")]
    for step in range(1, steps + 1):
        loss = 0.02 + 0.02 * float(np.exp(-step / 15)) + 0.002 * float(random.normal())
        events += [TrainingStep(step, asked, loss, 1e-4), MemorySample(900_000_000 + step * 10**6, 600_000_000)]
    return Tape(job, tuple(events))


def _result(job: QuantizeJob, reports: list[TensorReport]) -> QuantizeResult:
    verification = Verification(
        VerificationStatus.VERIFIED,
        "Reloaded in a new process: every weight is as computed.",
        "transformers 5.22.0, compressed-tensors 0.20.0",
        len(reports),
        3.1e-4,
        reports[1].name,
    )
    return QuantizeResult(
        job=job,
        output=job.output,
        bytes_before=sum(r.bytes_before for r in reports),
        bytes_after=sum(r.bytes_after for r in reports),
        file_bytes=sum(r.bytes_after for r in reports) + 4096,
        parameters=sum(int(np.prod(r.shape)) for r in reports),
        seconds=12.5,
        peak_anonymous_bytes=371_000_000,
        verification=verification,
    )


def _reports(layers: int) -> list[TensorReport]:
    random = np.random.default_rng(7)
    reports = [_kept("model.embed_tokens.weight", (512, 128), Role.EMBEDDING, None, "embed", "Embeddings are kept.")]
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        norm = f"{prefix}.input_layernorm.weight"
        reports.append(_kept(norm, (128,), Role.NORM, layer, "norm.input", "Norms are kept."))
        for path, module, role, shape in MODULES:
            weights = random.normal(0, 0.02 * (1 + 0.1 * layer), shape)
            if module == "mlp.down":
                weights[:: 16 + layer] *= 4  # outlier channels
            name = f"{prefix}.{path}.weight"
            if layer == 0 and module == "attn.v":
                reports.append(_kept(name, shape, role, layer, module, "A rule keeps it: *.0.*v_proj*"))
            else:
                reports.append(_quantized(name, weights, role, layer, module))
    return reports


def _kept(name: str, shape: tuple[int, ...], role: Role, layer: int | None, module: str, why: str) -> TensorReport:
    nbytes = 2 * int(np.prod(shape))
    return TensorReport(name, shape, role, layer, module, None, 16.0, nbytes, nbytes, "BF16", why_kept=why)


def _quantized(name: str, weights: np.ndarray, role: Role, layer: int, module: str) -> TensorReport:
    """Symmetric round-to-nearest INT4 in groups of 32, with the statistics that the child computes."""
    groups = weights.reshape(-1, GROUP)
    scales = np.abs(groups).max(axis=1, keepdims=True) / 7.5
    codes = np.clip(np.round(groups / scales), -8, 7)
    after = (codes * scales).reshape(weights.shape)
    difference = weights - after
    low, high = float(weights.min()), float(weights.max())
    reach = float(2.0 ** np.ceil(np.log2(np.abs(difference).max())))
    signal, noise = float((weights**2).sum()), float((difference**2).sum())
    error = ErrorStats(
        mse=noise / weights.size,
        max_abs=float(np.abs(difference).max()),
        sqnr_db=float(10 * np.log10(signal / noise)),
        relative=float(np.sqrt(noise / signal)),
        cosine=float((weights * after).sum() / np.sqrt(signal * (after**2).sum())),
        clipped=float((groups / scales > 7.5).mean()),
        zeroed=float(((after == 0) & (weights != 0)).mean()),
    )
    step = float(np.median(scales))
    return TensorReport(
        name=name,
        shape=weights.shape,
        role=role,
        layer=layer,
        module=module,
        scheme_id="INT4",
        bits=4.5,
        bytes_before=2 * weights.size,
        bytes_after=int(weights.size * 4.5 / 8),
        dtype_before="BF16",
        error=error,
        before=_histogram(weights, low, high),
        after=_histogram(after, low, high),
        difference=_histogram(difference, -reach, reach),
        levels=tuple(step * code for code in range(-8, 8)),
        step=step,
        channel_max=tuple(float(value) for value in np.abs(weights).max(axis=1)),
        kurtosis=float(((weights - weights.mean()) ** 4).mean() / weights.var() ** 2),
    )


def _histogram(values: np.ndarray, low: float, high: float) -> Histogram:
    counts, _ = np.histogram(np.clip(values, low, high), bins=256, range=(low, high))
    return Histogram(low, high, tuple(int(count) for count in counts))
