"""`quantgui hand-over FILE.gguf --to ollama`: give a GGUF file to the program that is to run it."""

from __future__ import annotations

import argparse

from quantgui.cli.quantize import absolute
from quantgui.cli.run_job import run_job
from quantgui.jobs.job import HandOverJob, Program

HELP = "give a GGUF file to Ollama or LM Studio, or print the command of llama.cpp"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="FILE", help="a .gguf file")
    parser.add_argument("--to", required=True, choices=[program.value for program in Program], help="the program")
    parser.add_argument("--name", default="", help="what Ollama is to call it (default: the file's name)")
    parser.add_argument("--folder", default="", help="LM Studio's folder of models (default: ~/.lmstudio/models)")
    parser.add_argument("--overwrite", action="store_true", help="replace a Modelfile that QuantGUI has not written")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines; the last one is terminal")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code."""
    program = Program(options.to)
    job = HandOverJob(absolute(options.model), program, options.name, options.folder, options.overwrite)
    finished = run_job(job, as_json=options.json)
    if finished is None or finished.handed_over is None:
        return 1
    result = finished.handed_over
    if not options.json:
        print("\n".join(part for part in (result.sentence, result.path, result.command) if part))
    return 0
