"""The settings of schemes on the command line: an option per declared parameter, and the list of them all."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from quantgui.quant.assignment import is_gguf
from quantgui.quant.gguf_assignment import tensor_type
from quantgui.quant.method import SchemeRow
from quantgui.quant.registry import build, file_rows, row, rows
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.recipe import Recipe, SchemeSpec

SHORT = ("group_size", "granularity", "symmetric")
"""Parameters with an option of their own: --group, --granularity, --asymmetric."""
_DEST = "setting_"


def add_options(parser: argparse._ArgumentGroup) -> None:
    """The options for settings of schemes; which scheme has which is in --list."""
    parser.add_argument("--group", type=int, metavar="N", help="weights that share one scale")
    parser.add_argument(
        "--granularity", choices=["group", "channel", "tensor", "block"], help="how many weights share a scale"
    )
    parser.add_argument("--asymmetric", action="store_true", help="codes with a zero-point")
    for parameter in _declared().values():
        _add_option(parser, parameter)


def given(options: argparse.Namespace) -> dict[str, ParameterValue]:
    """The settings that the command line names. Paths are absolute: the child has its own working folder."""
    found: dict[str, ParameterValue] = {}
    if options.granularity:
        found["granularity"] = options.granularity
    if options.group is not None:
        found |= {"granularity": "group", "group_size": options.group}
    if options.asymmetric:
        found["symmetric"] = False
    for name, parameter in _declared().items():
        value = getattr(options, _DEST + name)
        if value is not None:
            found[name] = str(Path(value).expanduser().absolute()) if parameter.is_file else value
    return found


def base_spec(options: argparse.Namespace) -> SchemeSpec:
    """The spec of --scheme, which must have every setting that is given. Raises UserError.

    A bad value is better told now than by the child. Schemes that know groups alone need not be told to use them.
    """
    chosen, settings = row(options.scheme), given(options)
    if options.group is not None and "granularity" not in {p.name for p in chosen.parameters}:
        del settings["granularity"]
    spec = SchemeSpec(chosen.id, settings)
    build(spec)
    return spec


def rule_spec(scheme_id: str, options: argparse.Namespace) -> SchemeSpec:
    """A rule's scheme takes those of the given settings that it knows: --group says nothing to FP8.

    In a GGUF file a rule names the type of a tensor. Raises UserError for an unknown name.
    """
    if is_gguf(Recipe(SchemeSpec(options.scheme))):
        return SchemeSpec(tensor_type(scheme_id))
    chosen = row(scheme_id)
    declared = {p.name: p for p in chosen.parameters}
    taken = {name: value for name, value in given(options).items() if _knows(declared.get(name), value)}
    return SchemeSpec(chosen.id, taken)


def listing() -> str:
    """Every scheme with its settings, for people."""
    lines = []
    for entry in (*rows(), *file_rows()):
        lines.append(f"{entry.id:<8} {entry.title}. {entry.summary}")
        for p in entry.parameters:
            choices = f" ({', '.join(map(str, p.choices))})" if p.choices else ""
            lines.append(f"{'':<10}{p.name} = {p.default}{choices}: {p.help}")
    return "\n".join(lines)


def listing_json() -> str:
    """Every scheme with its settings, for programs."""

    def describe(entry: SchemeRow) -> dict[str, Any]:
        return {
            "id": entry.id,
            "title": entry.title,
            "summary": entry.summary,
            "bits": entry.bits,
            "format": entry.format,
            "runtimes": entry.runtimes,
            "parameters": [
                {"name": p.name, "help": p.help, "default": p.default, "choices": p.choices} for p in entry.parameters
            ],
        }

    return json.dumps([describe(entry) for entry in (*rows(), *file_rows())], indent=2)


def _declared() -> dict[str, Parameter]:
    """The parameters that get an option, by name; rows that share a name mean the same by it."""
    found: dict[str, Parameter] = {}
    for entry in (*rows(), *file_rows()):
        for parameter in entry.parameters:
            if parameter.name not in SHORT:
                found.setdefault(parameter.name, parameter)
    return found


def _add_option(parser: argparse._ArgumentGroup, parameter: Parameter) -> None:
    option = f"--{parameter.name.replace('_', '-')}"
    words = parameter.help.replace("%", "%%")
    dest = _DEST + parameter.name
    if isinstance(parameter.default, bool):
        parser.add_argument(option, dest=dest, action=argparse.BooleanOptionalAction, default=None, help=words)
        return
    metavar = "FILE" if parameter.is_file else {int: "N", float: "X"}.get(type(parameter.default), "WORD")
    parser.add_argument(option, dest=dest, type=type(parameter.default), metavar=metavar, help=words)


def _knows(parameter: Parameter | None, value: ParameterValue) -> bool:
    try:
        return parameter is not None and parameter.check(value) is not None
    except ValueError:
        return False
