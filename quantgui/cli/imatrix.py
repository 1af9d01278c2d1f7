"""`quantgui imatrix MODEL --out FILE`: the importance matrix of a model, in llama.cpp's format."""

from __future__ import annotations

import argparse
from pathlib import Path

from quantgui import units
from quantgui.cli.quantize import absolute
from quantgui.cli.run_job import run_job
from quantgui.jobs.job import Calibration, ImatrixJob

HELP = "compute the importance matrix of a model, which makes GGUF files of few bits better"
DEFAULTS = Calibration()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model folder, or “demo”")
    parser.add_argument(
        "--out", metavar="FILE", required=True, help="the file to write, for example model.imatrix.gguf"
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
    result = finished.imatrix
    if not options.json:
        print(
            f"{result.output}\n  {result.entries:,} tensors, from {result.tokens:,} tokens, "
            f"in {units.duration(result.seconds)}"
        )
        if result.unreached:
            print(f"  no token reached some experts of {len(result.unreached):,} tensors; a longer text would")
    return 0
