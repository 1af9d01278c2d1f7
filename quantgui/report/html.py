"""One self-contained HTML file from a finished run: no network, no scripts, and nothing of a model becomes markup."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quantgui import units
from quantgui.jobs.codec import to_json
from quantgui.jobs.run_record import RunRecord
from quantgui.report import tables
from quantgui.report.findings import (
    VERIFICATION_WORDS,
    describe_recipe,
    difference_words,
    headline,
    key_figures,
    measured,
    model_name,
    quality_facts,
    verification_words,
)
from quantgui.report.findings import worst as worst_of
from quantgui.report.heat_map import heat_map
from quantgui.report.histogram import error_figure, weights_figure
from quantgui.report.markup import Html, escape, join, preformatted, tag
from quantgui.report.style import STYLE
from quantgui.report.training import loss_figure, training_words
from quantgui.types import HardwareTarget, MemoryEstimate, TensorReport

WORST = 20
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_report(
    path: str | Path,
    record: RunRecord,
    reports: Sequence[TensorReport],
    *,
    estimates: Sequence[MemoryEstimate] = (),
    hardware: HardwareTarget | None = None,
) -> Path:
    """Write the report of a run to `path`, whole or not at all. Raises OSError."""
    path = Path(path)
    page = render(record, reports, estimates=estimates, hardware=hardware)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def render(
    record: RunRecord,
    reports: Sequence[TensorReport],
    *,
    estimates: Sequence[MemoryEstimate] = (),
    hardware: HardwareTarget | None = None,
) -> str:
    """The page as text."""
    title = headline(record.result)
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("title", f"{title} · {model_name(record.result)}"),
        tag("style", Html(STYLE)),
    )
    body = tag(
        "body",
        _opening(record, title),
        _figures(record, reports),
        _map(reports),
        _quality(record),
        _training(record),
        _distributions(reports),
        _section(f"The {WORST} tensors with the lowest SQNR", _worst(reports)),
        _section("What was kept, and why", tables.kept_table(reports)),
        _hardware(record, estimates, hardware),
        _folded(f"All {units.count(len(reports))} tensors", tables.tensor_table(reports)),
        _repeat(record),
        _provenance(record),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _opening(record: RunRecord, title: str) -> Html:
    result = record.result
    status = result.verification.status
    verdict = tag(
        "p",
        tag("strong", VERIFICATION_WORDS[status]),
        ". ",
        verification_words(result.verification),
        class_=f"verdict {status.value}",
    )
    warnings = [tag("li", warning) for warning in result.warnings]
    return tag(
        "header",
        tag("p", f"Quantization report · {model_name(result)}", class_="eyebrow"),
        tag("h1", title),
        tag("p", "From ", tag("code", result.job.source), " to ", tag("code", result.output), ".", class_="soft"),
        verdict,
        tag("ul", *warnings) if warnings else None,
    )


def _figures(record: RunRecord, reports: Sequence[TensorReport]) -> Html:
    cards = [
        tag("div", tag("dt", figure.title), tag("dd", figure.value, tag("small", figure.note)))
        for figure in key_figures(record.result, reports, record.quality)
    ]
    return tag("dl", *cards, class_="figures")


def _map(reports: Sequence[TensorReport]) -> Html | None:
    drawn = heat_map(reports)
    if drawn is None:
        return None
    lowest = worst_of(reports, 1)[0]
    return _section(f"The weakest spot is {lowest.short_name}", drawn)


def _distributions(reports: Sequence[TensorReport]) -> Html | None:
    """The worst, the middle and the best tensor: the range of what happened."""
    ordered = [report for report in worst_of(reports, len(reports)) if report.before is not None]
    if not ordered:
        return None
    picks = {0: "lowest SQNR", len(ordered) // 2: "middle", len(ordered) - 1: "highest SQNR"}
    figures = [
        join(
            tag("h3", f"{ordered[index].short_name}: {words}, {units.decibels(_sqnr(ordered[index]))}"),
            tag("div", weights_figure(ordered[index]), error_figure(ordered[index]), class_="pair"),
        )
        for index, words in picks.items()
    ]
    legend = tag(
        "p", *(join(tag("span", class_=f"key {kind}"), kind) for kind in ("before", "after", "error")), class_="soft"
    )
    return _section("Weights before and after", join(legend, *figures))


def _quality(record: RunRecord) -> Html | None:
    if record.quality is None:
        return None
    verdict = tag("p", difference_words(record.quality.against)) if record.quality.against is not None else None
    facts = tables.pairs_table(quality_facts(record.quality))
    note = tag("p", "± is one standard error; both models read the same tokens.", class_="soft")
    return _section("Does it still predict text?", join(verdict, facts, note))


def _training(record: RunRecord) -> Html | None:
    if record.training is None or (drawn := loss_figure(record.training)) is None:
        return None
    return _section("The training", join(tag("p", f"{training_words(record.training)}.", class_="soft"), drawn))


def _sqnr(report: TensorReport) -> float | None:
    return report.error.sqnr_db if report.error else None


def _worst(reports: Sequence[TensorReport]) -> Html | None:
    return tables.tensor_table(worst_of(reports, WORST)) if measured(reports) else None


def _hardware(record: RunRecord, estimates: Sequence[MemoryEstimate], hardware: HardwareTarget | None) -> Html | None:
    if hardware is None or not estimates:
        return None
    note = tag("p", "Estimates of what running the model takes; measured sizes stand above.", class_="soft")
    table = tables.estimate_table(estimates, record.result.job.recipe.base.id)
    return _section(f"On {hardware.name}", join(note, table))


def _repeat(record: RunRecord) -> Html:
    recipe = record.result.job.recipe
    return tag(
        "section",
        tag("h2", "The recipe"),
        tag("p", f"{describe_recipe(recipe)}. Saved as a file, it repeats this run:", class_="soft"),
        tag("p", tag("code", "python -m quantgui quantize MODEL --recipe FILE --out DIR")),
        preformatted(to_json(recipe, indent=2)),
    )


def _provenance(record: RunRecord) -> Html:
    versions = {"QuantGUI": record.quantgui, **record.versions}
    return join(
        _section("Versions", tables.pairs_table(versions)),
        _section("SHA-256 of the written files", tables.pairs_table(record.sha256, code=True))
        if record.sha256
        else None,
        tag("footer", f"Written by QuantGUI {record.quantgui}; the run ended {record.created}."),
    )


def _section(title: str, content: Html | None) -> Html | None:
    return None if content is None else tag("section", tag("h2", title), content)


def _folded(title: str, content: Html) -> Html:
    return tag("details", tag("summary", escape(title)), content)
