"""The command line: one subcommand per verb, errors as one sentence on stderr, exit code 0 only on success."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from quantgui import __version__
from quantgui.cli import evaluate, fit, inspect, quantize
from quantgui.types import UserError

VERBS = {"fit": fit, "quantize": quantize, "inspect": inspect, "evaluate": evaluate}


def build_parser() -> argparse.ArgumentParser:
    """The parser with every verb."""
    parser = argparse.ArgumentParser(
        prog="quantgui", description="Without a command the window opens. MODEL is a folder, a file, or “demo”."
    )
    parser.add_argument("--version", action="version", version=f"quantgui {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    for name, module in VERBS.items():
        sub = verbs.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(sub)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit code (130 after Ctrl+C)."""
    options = build_parser().parse_args(arguments)
    try:
        return VERBS[options.verb].run(options)
    except UserError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"       {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe (“| head”) has gone
        sys.stderr.close()
        return 1
