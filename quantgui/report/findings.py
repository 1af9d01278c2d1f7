"""What a run found, in a sentence and a handful of key figures. The window and the HTML report say the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from statistics import median

from quantgui import units
from quantgui.checkpoint.resolve import DEMO
from quantgui.jobs.events import Evaluation, PairedScore, QuantizeResult, Verification, VerificationStatus
from quantgui.quant.registry import build
from quantgui.schemes.recipe import Recipe
from quantgui.schemes.scheme import Granularity, Scheme
from quantgui.types import TensorReport, UserError

BUNDLED = ("resources", "demo_model")
"""Where the bundled model lies in every installation."""
VERIFICATION_WORDS = {
    VerificationStatus.VERIFIED: "Verified",
    VerificationStatus.FAILED: "Verification failed",
    VerificationStatus.NOT_VERIFIED: "Not verified",
}


@dataclass(frozen=True)
class KeyFigure:
    """One number worth reading first: its name, the number with its unit, and a line of context."""

    title: str
    value: str
    note: str = ""


def describe_scheme(scheme: Scheme) -> str:
    """The scheme in words: "INT4 in groups of 128", "INT8 per output channel, asymmetric"."""
    if scheme.number in ("cast", "ggml"):  # a GGUF file type is a mixture of block sizes
        return scheme.id
    places = {
        Granularity.TENSOR: "per tensor",
        Granularity.CHANNEL: "per output channel",
        Granularity.BLOCK: f"in blocks of {scheme.group_size} x {scheme.group_size}",
    }
    place = places.get(scheme.granularity, f"in groups of {scheme.group_size}")
    return f"{scheme.id} {place}" + ("" if scheme.symmetric else ", asymmetric")


def describe_recipe(recipe: Recipe) -> str:
    """The base in words, and the number of exceptions: "INT4 in groups of 128, 2 exceptions"."""
    try:
        base = describe_scheme(build(recipe.base))
    except UserError:  # a run of a newer version may name a precision that this one does not know
        base = recipe.base.id
    count = len(recipe.rules)
    return base if not count else f"{base}, {count} {'exception' if count == 1 else 'exceptions'}"


def headline(result: QuantizeResult) -> str:
    """The report's title: what the run did to the size, or that its result cannot be trusted."""
    what = describe_recipe(result.job.recipe)
    if result.verification.status is VerificationStatus.FAILED:
        return f"{what}: the result does not load as it should"
    before, after = units.file_size(result.bytes_before), units.file_size(result.bytes_after)
    return f"{what}: {after} instead of {before}"


def verification_words(verification: Verification) -> str:
    """What the reload check found, and the libraries it was made with."""
    return f"{verification.summary} ({verification.library})" if verification.library else verification.summary


def difference_words(score: PairedScore) -> str:
    """What the change did to the quality: better, worse, or a tie within two standard errors of the difference."""
    measured = f"{score.difference:+.4f} ± {score.difference_se:.4f} nats per token"
    if score.is_tie:
        return f"A tie: the difference of {measured} lies within two standard errors."
    verdict = "worse" if score.difference > 0 else "better"
    change = units.percent(abs(score.perplexity_ratio - 1))
    return f"Predicts {verdict}: perplexity {change} {'higher' if score.difference > 0 else 'lower'}, {measured}."


def model_name(result: QuantizeResult) -> str:
    """The last part of the source's path; the bundled model by the name it goes by."""
    source = PurePath(result.job.source.replace("\\", "/"))
    if source.parts[-2:] == BUNDLED:
        return DEMO
    return source.name or result.job.source


def worst(reports: Iterable[TensorReport], count: int) -> list[TensorReport]:
    """The `count` quantized tensors with the lowest SQNR, the lowest first."""
    return sorted(measured(reports), key=_sqnr)[:count]


def measured(reports: Iterable[TensorReport]) -> list[TensorReport]:
    """The tensors with a finite error: neither kept nor exact."""
    return [r for r in reports if r.scheme_id is not None and r.error is not None and r.error.sqnr_db is not None]


def key_figures(
    result: QuantizeResult, reports: Sequence[TensorReport], quality: Evaluation | None = None
) -> tuple[KeyFigure, ...]:
    """Size, bits per weight, error, quality and effort of a finished run; the verification is said beside in words."""
    saved = 1 - result.bytes_after / result.bytes_before if result.bytes_before else 0.0
    change = f"{units.percent(abs(saved))} {'smaller' if saved >= 0 else 'larger'} than before"
    peak = result.peak_anonymous_bytes
    return (
        KeyFigure("Tensor data", units.file_size(result.bytes_after), change),
        KeyFigure(
            "Bits per weight", f"{result.bits_per_weight:.2f}", f"{units.parameters(result.parameters)} parameters"
        ),
        *_error_figures(reports),
        *_calibration_figures(reports),
        *_quality_figures(quality),
        KeyFigure("Time", units.duration(result.seconds), f"peak {units.memory(peak)} of memory" if peak else ""),
    )


def _error_figures(reports: Sequence[TensorReport]) -> tuple[KeyFigure, ...]:
    errors = sorted(measured(reports), key=_sqnr)
    if not errors:
        return ()
    middle = median(_sqnr(report) for report in errors)
    return (
        KeyFigure("Median SQNR", units.decibels(middle), f"{len(errors)} of {len(reports)} tensors quantized"),
        KeyFigure("Worst SQNR", units.decibels(_sqnr(errors[0])), errors[0].short_name),
    )


def quality_facts(evaluation: Evaluation) -> dict[str, str]:
    """What was measured, in words by their titles: perplexity before and after with its standard error, and on what."""
    before = evaluation.against
    facts = {}
    if before is not None:
        facts["Perplexity before"] = f"{before.perplexity:.3f} ± {before.perplexity_se:.3f}"
    facts["Perplexity after"] = f"{evaluation.perplexity:.3f} ± {evaluation.perplexity_se:.3f}"
    windows = f"{units.count(evaluation.tokens)} tokens in windows of {units.count(evaluation.context)}"
    return {**facts, "Measured on": f"{evaluation.text}, {windows}"}


def _quality_figures(quality: Evaluation | None) -> tuple[KeyFigure, ...]:
    if quality is None or quality.against is None:
        return ()
    note = f"{quality.against.perplexity:.3f} before"
    return (KeyFigure("Perplexity", f"{quality.perplexity:.3f}", f"{note}, a tie" if quality.against.is_tie else note),)


def _calibration_figures(reports: Sequence[TensorReport]) -> tuple[KeyFigure, ...]:
    """What the search of a calibrated method brought, in the mean over the layers it saw tokens of."""
    pairs = [
        (r.output_error, r.output_error_rounded)
        for r in reports
        if r.output_error is not None and r.output_error_rounded is not None
    ]
    if not pairs:
        return ()
    after, before = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return (KeyFigure("Output error", units.percent(after), f"{units.percent(before)} if rounded to nearest"),)


def _sqnr(report: TensorReport) -> float:
    assert report.error is not None
    assert report.error.sqnr_db is not None
    return report.error.sqnr_db
