"""`quantgui fit MODEL`: what every precision needs on this or other hardware, as a table, as CSV or as JSON."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from textwrap import indent
from typing import Any

from quantgui.checkpoint import ChildNeeded
from quantgui.checkpoint.resolve import resolve
from quantgui.cli import fit_questions
from quantgui.cli.fit_text import LEGEND, hardware_line, row_name, row_notes, settings_line, table_lines, training_lines
from quantgui.cli.run_job import run_job
from quantgui.fit.commands import command_for
from quantgui.fit.estimate import estimate_table
from quantgui.fit.export import estimate_json, estimates_csv
from quantgui.fit.logs.comparison import LogLine
from quantgui.fit.questions import ComparisonRow
from quantgui.fit.recommendation import Recommendation, recommend
from quantgui.fit.rules_of_thumb import rule_of_thumb
from quantgui.fit.settings import KV_TYPES, FitSettings, default_context
from quantgui.fit.speed import why_no_speed
from quantgui.fit.training import TrainingEstimate, training_estimates
from quantgui.fit.weights import parameters
from quantgui.hardware.catalogue import parse_target
from quantgui.hardware.probe import this_machine
from quantgui.jobs.job import ReadJob
from quantgui.types import Checkpoint, HardwareTarget, MemoryEstimate, Runtime, UserError
from quantgui.units import parameters as parameter_count

HELP = "what fits: memory of every precision on this or other hardware, with a verdict"


@dataclass(frozen=True)
class FitAnswer:
    """Everything the verb found out."""

    checkpoint: Checkpoint
    hardware: HardwareTarget
    settings: FitSettings
    estimates: tuple[MemoryEstimate, ...]
    training: tuple[TrainingEstimate, ...]
    star: Recommendation | None
    answers: tuple[tuple[str, str], ...] = ()
    comparison: tuple[ComparisonRow, ...] = ()
    log: tuple[LogLine, ...] = ()

    def command(self, estimate: MemoryEstimate) -> str:
        """The line that runs one row."""
        return command_for(estimate, self.checkpoint, self.hardware, self.settings)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences worth saying once, in order: of the model, of the hardware, of the rows."""
        said = row_notes(self.estimates)
        has_speed = any(estimate.speed for estimate in self.estimates)
        speed = "" if has_speed else why_no_speed(self.hardware)
        notes = (*self.checkpoint.notes, self.hardware.note, speed, *said)
        return tuple(dict.fromkeys(note for note in notes if note))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument(
        "model", metavar="MODEL", help="a model folder or file, a config.json, the id of a known model, or “demo”"
    )
    parser.add_argument("--hardware", metavar="NAME", help='such as "RTX 3060" or "2xRTX 4090"; default: this machine')
    parser.add_argument("--ram", type=float, metavar="GIB", help="RAM of the computer around --hardware, in GiB")
    parser.add_argument("--runtime", choices=[r.value for r in Runtime], help="only what this program loads")
    parser.add_argument("--context", type=int, metavar="N", help="tokens per sequence")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sequences at once; default 1")
    parser.add_argument(
        "--slots", type=int, default=1, metavar="N", help="llama.cpp's slots, which share the context; default 1"
    )
    parser.add_argument("--kv", default="f16", choices=list(KV_TYPES), help="type of the KV cache; default f16")
    parser.add_argument("--no-flash-attention", action="store_true", help="compute buffers without flash attention")
    parser.add_argument("--imatrix", action="store_true", help="GGUF mixtures as with an importance matrix")
    fit_questions.add_arguments(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON object; values not estimated are null")
    output.add_argument("--csv", action="store_true", help="print the rows as CSV")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code. Raises UserError."""
    hardware = _hardware(options)
    checkpoint = _checkpoint(options.model)
    if checkpoint is None:
        return 1
    answer = _answer(options, checkpoint, hardware, _settings(options, checkpoint))
    if options.json:
        print(json.dumps(as_json(answer), ensure_ascii=False))
    elif options.csv:
        commands = {estimate.scheme_id: answer.command(estimate) for estimate in answer.estimates}
        print(estimates_csv(answer.estimates, commands), end="")
    else:
        print("\n".join(as_text(answer)))
    return 0


def as_json(answer: FitAnswer) -> dict[str, Any]:
    """What `--json` prints. Sizes are bytes; a value that is not estimated is None."""
    settings, star = answer.settings, answer.star
    return {
        "model": answer.checkpoint.name,
        "parameters": parameters(answer.checkpoint),
        "hardware": _hardware_json(answer.hardware),
        "runtime": settings.runtime.value if settings.runtime else None,
        "context": settings.context,
        "batch": settings.batch,
        "slots": settings.slots,
        "kv_dtype": settings.kv_dtype,
        "flash_attention": settings.flash_attention,
        "rows": [estimate_json(estimate, answer.command(estimate)) for estimate in answer.estimates],
        "recommendation": {"id": star.scheme_id, "sentence": star.sentence} if star else None,
        "rule_of_thumb": rule_of_thumb(answer.hardware, parameters(answer.checkpoint)),
        "training": [_training_json(estimate) for estimate in answer.training],
        "answers": [{"question": question, "sentence": sentence} for question, sentence in answer.answers],
        "comparison": [fit_questions.comparison_json(row) for row in answer.comparison],
        "log": [fit_questions.log_json(line) for line in answer.log],
        "notes": list(answer.notes),
    }


def as_text(answer: FitAnswer) -> list[str]:
    """The table a person reads, the recommendation above it."""
    total = parameters(answer.checkpoint)
    size = f" · {parameter_count(total)} parameters" if total else ""
    lines = [
        f"{answer.checkpoint.name}{size}",
        f"on {hardware_line(answer.hardware)}",
        settings_line(answer.settings),
        "",
    ]
    if answer.star is not None:
        starred = next(e for e in answer.estimates if e.scheme_id == answer.star.scheme_id)
        name = row_name(answer.star.scheme_id)
        lines += [f"★ {name}: {answer.star.sentence}", indent(answer.command(starred), "  "), ""]
    lines += table_lines(answer.estimates, answer.star)
    if answer.training:
        lines += training_lines(answer.training)
    lines += [sentence for _, sentence in answer.answers]
    lines += [*fit_questions.comparison_lines(answer.comparison), *fit_questions.log_text(answer.log)]
    lines += [rule_of_thumb(answer.hardware, total), *LEGEND]
    return lines + [f"note: {note}" for note in answer.notes]


def _answer(
    options: argparse.Namespace, checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings
) -> FitAnswer:
    estimates = estimate_table(checkpoint, hardware, settings)
    if not estimates:
        runtime = settings.runtime.value if settings.runtime else "no program"
        raise UserError(f"{checkpoint.name} is in no format that {runtime} loads.", hint="Leave --runtime away.")
    try:
        training = training_estimates(checkpoint, hardware)
    except UserError:  # an encoder, a packed checkpoint, an unknown architecture
        training = ()
    star = recommend(estimates, hardware)
    row = fit_questions.chosen_row(options, estimates, star.scheme_id if star else None)
    return FitAnswer(
        checkpoint,
        hardware,
        settings,
        estimates,
        training,
        star,
        tuple(fit_questions.answers(options, checkpoint, hardware, settings, estimates, row)),
        fit_questions.comparison(options, checkpoint, hardware, settings),
        fit_questions.log_lines(options, row, settings),
    )


def _settings(options: argparse.Namespace, checkpoint: Checkpoint) -> FitSettings:
    return FitSettings(
        context=default_context(checkpoint.config) if options.context is None else options.context,
        batch=options.batch,
        kv_dtype=options.kv,
        runtime=Runtime(options.runtime) if options.runtime else None,
        slots=options.slots,
        flash_attention=not options.no_flash_attention,
        imatrix=options.imatrix,
    )


def _hardware(options: argparse.Namespace) -> HardwareTarget:
    if options.hardware is not None:
        return parse_target(options.hardware, options.ram)
    if options.ram is not None:
        raise UserError("--ram belongs to --hardware.", hint="This machine's RAM is read from the machine.")
    return this_machine()


def _checkpoint(model: str) -> Checkpoint | None:
    """The model's headers; a pickled file is read by a child process. None where that failed and has said why."""
    try:
        return resolve(model)
    except ChildNeeded as needed:
        finished = run_job(ReadJob(needed.path), as_json=False)
        return finished.checkpoint if finished is not None else None


def _hardware_json(hardware: HardwareTarget) -> dict[str, Any]:
    return {
        "name": hardware.name,
        "kind": hardware.kind,
        "accelerators": [
            {
                "name": gpu.name,
                "memory_bytes": gpu.memory_bytes,
                "free_bytes": gpu.free_bytes,
                "bandwidth_bytes_per_second": gpu.bandwidth,
                "unified": gpu.unified,
            }
            for gpu in hardware.accelerators
        ],
        "memory_bytes": hardware.device_bytes or hardware.ram_bytes,
        "ram_bytes": hardware.ram_bytes,
        "ram_available_bytes": hardware.ram_available_bytes,
        "note": hardware.note,
    }


def _training_json(estimate: TrainingEstimate) -> dict[str, Any]:
    low, high = estimate.band
    return {
        "kind": estimate.kind.value,
        "title": estimate.title,
        "trainable_parameters": estimate.trainable,
        "total_bytes": estimate.total_bytes,
        "total_low_bytes": low,
        "total_high_bytes": high,
        "verdict": estimate.verdict.value,
        "reason": estimate.reason,
        "parts": [
            {
                "name": part.name,
                "bytes": part.nbytes,
                "low_bytes": part.low,
                "high_bytes": part.high,
                "provenance": part.provenance.value,
                "note": part.note or None,
            }
            for part in estimate.parts
        ],
    }
