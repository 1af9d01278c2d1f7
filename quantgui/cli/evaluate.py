"""`quantgui evaluate MODEL [--text FILE]`: perplexity with its standard error."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from quantgui.cli.quantize import absolute
from quantgui.cli.run_job import run_job
from quantgui.jobs.job import EvaluateJob

HELP = "the perplexity of a model on a text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model folder, or “demo”")
    parser.add_argument("--text", metavar="FILE", help="UTF-8 text to score (default: the bundled evaluation text)")
    parser.add_argument("--context", type=int, metavar="N", help="tokens per window (default: 512)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code."""
    text = str(Path(options.text).expanduser().absolute()) if options.text else None
    job = EvaluateJob(absolute(options.model), text, options.context, options.device)
    finished = run_job(job, as_json=False)
    if finished is None or finished.evaluation is None:
        return 1
    result = finished.evaluation
    if options.json:
        print(json.dumps({"model": options.model, **asdict(result)}))
    else:
        print(
            f"perplexity {result.perplexity:.4f} ± {result.perplexity_se:.4f} over {result.tokens:,} tokens of "
            f"{result.text} in windows of {result.context} ({result.seconds:.1f} s)"
        )
    return 0
