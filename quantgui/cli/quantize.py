"""`quantgui quantize MODEL --scheme ID --out PATH`: the same job as the window's, without a window."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from quantgui import units
from quantgui.cli.run_job import run_job
from quantgui.cli.scheme_options import add_options, base_spec, given, listing, listing_json, rule_spec
from quantgui.home import find_home
from quantgui.jobs.codec import from_json
from quantgui.jobs.events import QuantizeResult
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RECORD_NAME, record_folder
from quantgui.jobs.saved_training import training_file
from quantgui.quant.registry import file_rows, rows
from quantgui.schemes.recipe import KEEP, Recipe, Rule
from quantgui.types import UserError

HELP = "quantize a model into a folder that transformers loads, or into a GGUF file"
MAX_RECIPE_BYTES = 4 * 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model folder, a .safetensors, .gguf or .bin file, or “demo”")
    parser.add_argument("--scheme", metavar="ID", help="what to quantize to; --list shows all")
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="PATTERN=ID",
        help="another scheme (in GGUF a tensor type), or “keep”, for tensors whose name matches; the first match wins",
    )
    add_options(parser.add_argument_group("settings of schemes"))
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="a recipe saved by the window, instead of --scheme")
    parser.add_argument("--out", metavar="PATH", help="the folder to write, for GGUF types the file")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier run at that place")
    parser.add_argument(
        "--allow-requantize", action="store_true", help="quantize a GGUF file that is quantized already, with more loss"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 or mps (default: cpu)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the arithmetic (default: physical cores)")
    parser.add_argument("--resume", default="", metavar="ID", help="go on with the stopped training of this run")
    parser.add_argument("--no-verify", action="store_true", help="do not load the result back in a new process")
    parser.add_argument("--list", action="store_true", help="list every scheme with its settings, and stop")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines; the last one is terminal")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code. Raises UserError."""
    if options.list:
        print(listing_json() if options.json else listing())
        return 0
    if not options.out:
        raise UserError("Where should the result go?", hint="Add --out PATH.")
    output = Path(options.out).expanduser().resolve()
    if (record_folder(output) / RECORD_NAME).is_file() and not options.overwrite:
        raise UserError(
            f"{output} holds an earlier run.", hint="Add --overwrite to replace it, or choose another PATH."
        )
    job = QuantizeJob(
        source=absolute(options.model),
        output=str(output),
        recipe=recipe_of(options),
        device=options.device,
        threads=options.threads,
        overwrite=options.overwrite,
        verify=not options.no_verify,
        cache=str(find_home().cache),
        resume=options.resume,
        allow_requantize=options.allow_requantize,
    )
    try:
        finished = run_job(job, as_json=options.json)
    except KeyboardInterrupt:
        if training_file(job.cache, job.training_id).is_file():
            print(f"the training is kept; go on with --resume {job.training_id}", file=sys.stderr)
        raise
    if finished is None or finished.quantized is None:
        return 1
    if not options.json:
        print(_summary(finished.quantized))
    return 0


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe of --recipe, or of --scheme with its settings and rules. Raises UserError."""
    if options.recipe:
        if options.scheme or options.rule or given(options):
            raise UserError("A recipe file holds the scheme, its settings and the rules.", hint="Give --recipe alone.")
        return _read_recipe(options.recipe)
    if not options.scheme:
        raise UserError("Which scheme?", hint=f"Add --scheme ID: {', '.join(r.id for r in (*rows(), *file_rows()))}.")
    base = base_spec(options)
    rules = []
    for text in options.rule:
        pattern, separator, scheme_id = text.rpartition("=")
        if not separator or not pattern:
            raise UserError(f"“{text}” is not a rule.", hint="Write PATTERN=ID, for example '*.mlp.*=INT4'.")
        rules.append(Rule(pattern, None if scheme_id.lower() == KEEP else rule_spec(scheme_id, options)))
    return Recipe(base, tuple(rules))


def _read_recipe(path: Path) -> Recipe:
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise UserError(f"{path} is too large to be a recipe.")
        return from_json(path.read_bytes(), Recipe)
    except OSError as error:
        raise UserError(f"The recipe {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(
            f"{path} is not a recipe.", hint="Save one in the window's Recipe page.", details=str(error)
        ) from None


def absolute(model: str) -> str:
    """A path made absolute (the child has its own working folder); other references as they are."""
    path = Path(model).expanduser()
    return str(path.absolute()) if path.exists() else model


def _summary(result: QuantizeResult) -> str:
    lines = [
        f"{result.output}",
        f"  {units.file_size(result.file_bytes)} instead of {units.file_size(result.bytes_before)}, "
        f"{units.bits_per_weight(result.bits_per_weight)}, in {units.duration(result.seconds)}",
        f"  {result.verification.summary}",
    ]
    return "\n".join(lines)
