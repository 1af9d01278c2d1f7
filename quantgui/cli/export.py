"""`quantgui export MODEL --to onnx-int8 --out DIR`: other programs' own file formats."""

from __future__ import annotations

import argparse
from pathlib import Path

from quantgui import units
from quantgui.cli.quantize import absolute
from quantgui.cli.run_job import run_job
from quantgui.jobs.job import ExportJob
from quantgui.types import UserError

HELP = "write the model as 8-bit ONNX for onnxruntime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="the folder of a model, or “demo”")
    parser.add_argument("--to", default="onnx-int8", choices=["onnx-int8"], help="the format (default: onnx-int8)")
    parser.add_argument("--out", metavar="DIR", help="the folder to write")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines; the last one is terminal")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code. Raises UserError."""
    if not options.out:
        raise UserError("Where should the result go?", hint="Add --out DIR.")
    job = ExportJob(absolute(options.model), str(Path(options.out).expanduser().resolve()))
    finished = run_job(job, as_json=options.json)
    if finished is None or finished.exported is None:
        return 1
    if not options.json:
        result = finished.exported
        sizes = f"{units.file_size(result.file_bytes)} instead of {units.file_size(result.bytes_before)}"
        print(f"{result.output}\n  {sizes}, in {units.duration(result.seconds)}\n  {result.verification.summary}")
        print("  The graph has no key-value cache: right for scoring and encoders, slow for long answers.")
    return 0
