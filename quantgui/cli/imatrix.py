"""`quantgui imatrix MODEL --out FILE`: the importance matrix of a model, in llama.cpp's format."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from quantgui import units
from quantgui.cli.quantize import absolute
from quantgui.cli.run_job import run_job
from quantgui.jobs.events import ImatrixResult
from quantgui.jobs.job import Calibration, ImatrixJob

HELP = "compute the importance matrix of a model, which makes GGUF files of few bits better"
DEFAULTS = Calibration()
SHOWN = 3
"""Names of tensors without an entry that are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model folder, or “demo”")
    parser.add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help="the file to write, for example model.imatrix.gguf; an importance matrix of that name is replaced",
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="text, JSONL or Parquet to run through the model (default: the bundled text)",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=DEFAULTS.samples,
        metavar="N",
        help=f"samples of it (default: {DEFAULTS.samples})",
    )
    parser.add_argument(
        "--length",
        type=int,
        default=DEFAULTS.length,
        metavar="N",
        help=f"tokens of a sample (default: {DEFAULTS.length})",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines; the last one is terminal")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code."""
    text = str(Path(options.calibration).expanduser().absolute()) if options.calibration else None
    output = str(Path(options.out).expanduser().resolve())
    calibration = Calibration(text, options.samples, options.length)
    finished = run_job(ImatrixJob(absolute(options.model), output, calibration, options.device), as_json=options.json)
    if finished is None or finished.imatrix is None:
        return 1
    if not options.json:
        print("\n  ".join(_lines(finished.imatrix)))
    return 0


def _lines(result: ImatrixResult) -> Iterator[str]:
    yield result.output
    yield f"{_tensors(result.entries)}, from {result.tokens:,} tokens, in {units.duration(result.seconds)}"
    if result.unreached:
        yield f"no token reached some experts of {_tensors(len(result.unreached))}; a longer text would"
    if result.missing:
        yield f"nothing is said about {_tensors(len(result.missing))}, as their inputs could not be seen:"
        yield ", ".join(result.missing[:SHOWN]) + (", …" if len(result.missing) > SHOWN else "")


def _tensors(count: int) -> str:
    return "1 tensor" if count == 1 else f"{count:,} tensors"
