"""The report's tables: tensors with their errors, precisions on the chosen hardware, versions and hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from quantgui import units
from quantgui.report.markup import Html, tag
from quantgui.types import MemoryEstimate, MemoryKind, TensorReport, Verdict

VERDICT_WORDS = {
    Verdict.FITS: "✓ Fits",
    Verdict.TIGHT: "! Tight",
    Verdict.OFFLOAD: "↓ Needs RAM offload",
    Verdict.TOO_LARGE: "✗ Too large",
}


@dataclass(frozen=True)
class Column:
    """A heading, what stands below it for one tensor, and whether that is a number."""

    title: str
    value: Callable[[TensorReport], object]
    number: bool = True


def _name(report: TensorReport) -> Html:
    return tag("span", report.short_name, title=report.name)


TENSOR_COLUMNS = (
    Column("Tensor", _name, number=False),
    Column("Shape", lambda r: units.shape(r.shape)),
    Column("Scheme", lambda r: r.scheme_id or "kept", number=False),
    Column("Bits/weight", lambda r: f"{r.bits:.2f}"),
    Column("Before", lambda r: units.file_size(r.bytes_before)),
    Column("After", lambda r: units.file_size(r.bytes_after)),
    Column("SQNR", lambda r: _sqnr(r)),
    Column("Cosine", lambda r: f"{r.error.cosine:.5f}" if r.error and r.error.cosine is not None else "–"),
    Column("MSE", lambda r: units.scientific(r.error.mse) if r.error else "–"),
    Column("Max error", lambda r: units.scientific(r.error.max_abs) if r.error else "–"),
    Column("Clipped", lambda r: units.percent(r.error.clipped) if r.error else "–"),
    Column("Zeroed", lambda r: units.percent(r.error.zeroed) if r.error else "–"),
)


def _sqnr(report: TensorReport) -> str:
    if report.error is None:
        return "–"
    return "exact" if report.error.sqnr_db is None else units.decibels(report.error.sqnr_db)


def tensor_table(reports: Iterable[TensorReport]) -> Html:
    """One row per tensor; the full name is the tooltip of the short one."""
    head = [_cell("th", column.title, column.number) for column in TENSOR_COLUMNS]
    rows = [[_cell("td", column.value(r), column.number) for column in TENSOR_COLUMNS] for r in reports]
    return _table(head, rows)


def kept_table(reports: Sequence[TensorReport]) -> Html | None:
    """Why which tensors were kept, grouped by the reason; None where none was."""
    reasons: dict[str, list[TensorReport]] = {}
    for report in reports:
        if report.scheme_id is None:
            reasons.setdefault(report.why_kept or "Kept as it was.", []).append(report)
    if not reasons:
        return None
    rows = [
        [
            _cell("td", reason, False),
            _cell("td", units.count(len(group)), True),
            _cell("td", units.file_size(sum(r.bytes_after for r in group)), True),
        ]
        for reason, group in reasons.items()
    ]
    return _table([_cell("th", "Why", False), _cell("th", "Tensors", True), _cell("th", "Size", True)], rows)


def estimate_table(estimates: Sequence[MemoryEstimate], chosen: str) -> Html:
    """Memory per precision with its verdict and the reason; the row of the run is marked."""
    head = [_cell("th", t, n) for t, n in (("Precision", False), ("Weights", True), ("KV cache", True))]
    head += [_cell("th", t, n) for t, n in (("Total", True), ("Verdict", False), ("Reason", False))]
    rows = []
    for estimate in estimates:
        name = tag("strong", f"{estimate.scheme_id} (this run)") if estimate.scheme_id == chosen else estimate.scheme_id
        rows.append(
            [
                _cell("td", name, False),
                _cell("td", units.memory(estimate.part(MemoryKind.WEIGHTS)), True),
                _cell("td", units.memory(estimate.part(MemoryKind.KV_CACHE)), True),
                _cell("td", units.memory(estimate.total_bytes), True),
                _cell("td", VERDICT_WORDS[estimate.verdict], False),
                _cell("td", estimate.reason, False),
            ]
        )
    return _table(head, rows)


def pairs_table(pairs: Mapping[str, str], *, code: bool = False) -> Html:
    """Names and values, the values in a fixed pitch where they are hashes."""
    rows = [
        [_cell("td", name, False), _cell("td", tag("code", value) if code else value, False)]
        for name, value in pairs.items()
    ]
    return _table([], rows)


def _cell(kind: str, content: object, number: bool) -> Html:
    return tag(kind, content, class_="n" if number else "words" if kind == "td" else None)


def _table(head: Sequence[Html], rows: Iterable[Sequence[Html]]) -> Html:
    body = tag("tbody", *(tag("tr", *row) for row in rows))
    return tag("div", tag("table", tag("thead", tag("tr", *head)) if head else None, body), class_="wide")
