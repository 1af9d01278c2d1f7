"""The command line: one subcommand per verb, errors as one sentence on stderr, exit code 0 only on success."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

from quantgui import __version__
from quantgui.cli import evaluate, export, fit, generate, hand_over, imatrix, inspect, quantize
from quantgui.cli.run_job import print_error
from quantgui.jobs.codec import encode_event
from quantgui.jobs.events import Failed
from quantgui.types import UserError

VERBS = {
    "fit": fit,
    "quantize": quantize,
    "export": export,
    "imatrix": imatrix,
    "inspect": inspect,
    "evaluate": evaluate,
    "generate": generate,
    "hand-over": hand_over,
}
EVENT_VERBS = ("quantize", "export", "imatrix", "inspect", "generate", "hand-over")
"""Verbs whose --json is a stream of events, which ends with a terminal one even if the job could not start."""


class Stopped(KeyboardInterrupt):
    """Another program asked us to end: the same clean way out as Ctrl+C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


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
    """Runs one command; returns the exit code (130 after Ctrl+C, 143 after SIGTERM)."""
    options = build_parser().parse_args(arguments)
    try:
        with _stoppable():
            return VERBS[options.verb].run(options)
    except UserError as error:
        if options.json and options.verb in EVENT_VERBS:
            print(encode_event(Failed(error.message, error.hint, error.details)).decode(), flush=True)
        print_error(error.message, error.hint)
        return 1
    except KeyboardInterrupt as stop:
        print("stopped", file=sys.stderr)
        return getattr(stop, "exit_code", 130)
    except BrokenPipeError:  # the reader of a pipe (“| head”) has gone
        sys.stderr.close()
        return 1


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """A closed terminal or `kill` must not leave half an output: within, these signals raise Stopped.

    One that is ignored stays so (`nohup`).
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)
