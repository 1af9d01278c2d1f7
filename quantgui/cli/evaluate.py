"""`quantgui evaluate MODEL [--text FILE]`: perplexity with its standard error."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from quantgui.cli.quantize import absolute
from quantgui.cli.run_job import run_job
from quantgui.jobs.events import Evaluation
from quantgui.jobs.job import EvaluateJob
from quantgui.report.findings import difference_words

HELP = "the perplexity of a model on a text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model folder, a .gguf file, or “demo”")
    parser.add_argument("--against", metavar="ORIGINAL", help="the model it was made from: paired on the same tokens")
    parser.add_argument("--text", metavar="FILE", help="UTF-8 text to score (default: the bundled evaluation text)")
    parser.add_argument("--context", type=int, metavar="N", help="tokens per window (default: 512)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code."""
    text = str(Path(options.text).expanduser().absolute()) if options.text else None
    against = absolute(options.against) if options.against else None
    job = EvaluateJob(absolute(options.model), text, options.context, options.device, against)
    finished = run_job(job, as_json=False)
    if finished is None or finished.evaluation is None:
        return 1
    result = finished.evaluation
    if options.json:
        tie = {"is_tie": result.against.is_tie} if result.against is not None else {}
        print(json.dumps({"model": options.model, **asdict(result), **tie}))
    else:
        print("\n".join(_words(result)))
    return 0


def _words(result: Evaluation) -> list[str]:
    lines = [
        f"perplexity {result.perplexity:.4f} ± {result.perplexity_se:.4f} over {result.tokens:,} tokens of "
        f"{result.text} in windows of {result.context} ({result.seconds:.1f} s)"
    ]
    if result.against is not None:
        before = result.against
        lines += [f"before     {before.perplexity:.4f} ± {before.perplexity_se:.4f}", difference_words(before)]
    return lines
