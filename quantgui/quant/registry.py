"""One row per id that people choose by name, collected from the methods' files."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches
from functools import cache

from quantgui.quant import methods
from quantgui.quant.gguf_rows import gguf_method, gguf_rows
from quantgui.quant.method import Kind, Method, RowArithmetic, SchemeRow
from quantgui.schemes.parameters import ParameterValue
from quantgui.schemes.recipe import SchemeSpec
from quantgui.schemes.scheme import Scheme
from quantgui.types import UserError


@cache
def all_methods() -> dict[str, Method]:
    """Every method by id. A file in `quantgui/quant/methods` is all it takes to be here."""
    modules = [importlib.import_module(f"{methods.__name__}.{m.name}") for m in pkgutil.iter_modules(methods.__path__)]
    return {module.METHOD.id: module.METHOD for module in modules}


FORMAT_ORDER = ("plain", "compressed_tensors")
"""Which formats come first among rows of equal bits; all others follow."""


@cache
def rows() -> tuple[SchemeRow, ...]:
    """All schemes of single tensors, most precise first.

    At equal bits casts come before the format of most runtimes, then as a method states.
    """
    found = [row for method in all_methods().values() for row in method.rows]

    def rank(row: SchemeRow) -> int:
        return FORMAT_ORDER.index(row.format) if row.format in FORMAT_ORDER else len(FORMAT_ORDER)

    return tuple(sorted(found, key=lambda row: (-row.bits, rank(row))))


@cache
def rows_by_kind() -> dict[Kind, tuple[SchemeRow, ...]]:
    """The rows as people choose from them: kinds in their order, without empty ones, each most precise first."""
    kinds = {row.id: method.kind for method in all_methods().values() for row in method.rows}
    grouped = {kind: tuple(row for row in rows() if kinds[row.id] is kind) for kind in Kind} | {Kind.GGUF: file_rows()}
    return {kind: found for kind, found in grouped.items() if found}


def file_rows() -> tuple[SchemeRow, ...]:
    """Mixtures for a whole file, most bits first: a recipe's base, never a rule's scheme."""
    return gguf_rows()


def row(scheme_id: str) -> SchemeRow:
    """The row of an id, whole files included, case ignored. Raises UserError naming near matches."""
    by_id = {r.id.lower(): r for r in (*rows(), *file_rows())}
    if scheme_id.lower() in by_id:
        return by_id[scheme_id.lower()]
    near = [by_id[key].id for key in get_close_matches(scheme_id.lower(), by_id, n=3, cutoff=0.3)]
    raise UserError(
        f"There is no precision called “{scheme_id}”.",
        hint=f"Did you mean {' or '.join(near)}?" if near else f"Choose one of {', '.join(r.id for r in rows())}.",
    )


def row_method(scheme_id: str) -> Method:
    """The method that a row belongs to. Raises UserError for an unknown id."""
    chosen = row(scheme_id)
    return next(method for method in (*all_methods().values(), gguf_method()) if chosen in method.rows)


def settings(spec: SchemeSpec) -> dict[str, ParameterValue]:
    """Every parameter of a spec's row: its default, or the spec's value. Raises UserError for unknown or bad ones."""
    chosen = row(spec.id)
    declared = {p.name: p for p in chosen.parameters}
    values = {p.name: p.default for p in chosen.parameters}
    for name, value in spec.parameters.items():
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise UserError(f"{chosen.id} has no setting “{name}”.", hint=f"Its settings: {known}.")
        try:
            values[name] = declared[name].check(value)
        except ValueError as error:
            raise UserError(f"{chosen.id}: {error}") from None
    return values


def build(spec: SchemeSpec) -> Scheme:
    """The scheme of a spec: the row's defaults with the spec's parameters. Raises UserError for unknown or bad ones."""
    return row(spec.id).make(**settings(spec))


def arithmetic(scheme: Scheme) -> RowArithmetic:
    """The arithmetic of a scheme; imports torch, so only the child asks for it."""
    return (all_methods().get(scheme.method) or gguf_method()).arithmetic(scheme)
