"""`quantgui generate MODEL --prompt TEXT`: what a model makes of a text, as it comes."""

from __future__ import annotations

import argparse
import sys

from quantgui import units
from quantgui.cli.quantize import absolute
from quantgui.cli.run_job import run_job
from quantgui.jobs.events import Event, TextPiece
from quantgui.jobs.job import GenerateJob

HELP = "continue a text with a GGUF file or a model folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a .gguf file, a model folder, or “demo”")
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="the text to continue")
    parser.add_argument("--tokens", type=int, default=128, metavar="N", help="tokens to write at most (default: 128)")
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="T",
        help="0 takes the likeliest token (default), 1 draws freely",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random draws (default: 0)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the arithmetic (default: physical cores)")
    parser.add_argument("--device", default="cpu", help="of model folders: cpu, cuda, cuda:1 or mps (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines; the last one is terminal")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code."""
    job = GenerateJob(
        source=absolute(options.model),
        prompt=options.prompt,
        tokens=options.tokens,
        temperature=options.temperature,
        seed=options.seed,
        threads=options.threads,
        device=options.device,
    )
    finished = run_job(job, as_json=options.json, on_event=None if options.json else _print_text)
    if finished is None or finished.generation is None:
        return 1
    if not options.json:
        result = finished.generation
        speed = f", {result.tokens_per_second:.1f} tokens/s" if result.tokens_per_second else ""
        print()
        print(f"{result.tokens:,} tokens{speed}, {units.memory(result.peak_rss_bytes)} of memory", file=sys.stderr)
        if result.fills_context:
            print("The text fills the context that the model was trained for.", file=sys.stderr)
    return 0


def _print_text(event: Event) -> None:
    if isinstance(event, TextPiece):
        print(event.text, end="", flush=True)
