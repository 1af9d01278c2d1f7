"""What `quantgui fit` answers beside its table: inverse questions, other devices, and a log of a real run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from quantgui.checkpoint.regular_file import read_capped
from quantgui.fit.logs.comparison import LogLine, compare_log
from quantgui.fit.logs.parsing import MAX_CHARACTERS, parse_log
from quantgui.fit.questions import (
    ComparisonRow,
    best_precision_for_speed,
    compare,
    default_targets,
    longest_context,
    models_that_fit,
    most_slots,
    smallest_device,
)
from quantgui.fit.settings import FitSettings
from quantgui.hardware.catalogue import parse_target
from quantgui.types import Checkpoint, HardwareTarget, MemoryEstimate, UserError
from quantgui.units import memory, percent

QUESTIONS = ("longest-context", "most-slots", "smallest-device", "best-precision", "biggest-models")
MODELS_SHOWN = 3
DEFAULT_SPEED = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this part."""
    parser.add_argument("--row", metavar="ID", help="the precision that --ask and --log are about; default: the ★ row")
    parser.add_argument("--ask", action="append", default=[], choices=QUESTIONS, help="answer a question; repeatable")
    parser.add_argument(
        "--tokens-per-second", type=float, default=DEFAULT_SPEED, metavar="N", help="goal of --ask best-precision"
    )
    parser.add_argument("--compare", nargs="*", metavar="NAME", help="the best precision on other devices beside it")
    parser.add_argument(
        "--log", metavar="FILE", help="compare with a log of llama.cpp or vLLM or the output of nvidia-smi; - is stdin"
    )


def answers(
    options: argparse.Namespace,
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings,
    estimates: tuple[MemoryEstimate, ...],
    row: MemoryEstimate | None,
) -> Iterator[tuple[str, str]]:
    """(question, sentence) for each question asked."""
    for question in options.ask:
        if question == "best-precision":
            yield question, best_precision_for_speed(estimates, options.tokens_per_second).sentence
        elif question == "biggest-models":
            found = [c.sentence for c in islice(models_that_fit(hardware, settings), MODELS_SHOWN)]
            yield question, "\n".join(found) or f"No model of the catalogue fits {hardware.name}."
        elif row is None:
            yield question, f"Nothing runs on {hardware.name}."
        elif question == "longest-context":
            yield question, longest_context(row).sentence
        elif question == "most-slots":
            yield question, most_slots(checkpoint, hardware, settings, row.scheme_id).sentence
        else:
            yield question, smallest_device(checkpoint, settings, row.scheme_id).sentence


def comparison(
    options: argparse.Namespace, checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings
) -> tuple[ComparisonRow, ...]:
    """The chosen hardware beside the devices of --compare; without names, beside those most people know."""
    if options.compare is None:
        return ()
    others = tuple(parse_target(name) for name in options.compare) or default_targets()
    return compare(checkpoint, (hardware, *others), settings)


def log_lines(options: argparse.Namespace, row: MemoryEstimate | None, settings: FitSettings) -> tuple[LogLine, ...]:
    """Predicted and real of the log of --log. Raises UserError where it cannot be read."""
    if not options.log:
        return ()
    if row is None:
        raise UserError("There is no row to compare the log with.", hint="Name one with --row.")
    return compare_log(row, parse_log(_read(options.log)), settings)


def chosen_row(
    options: argparse.Namespace, estimates: tuple[MemoryEstimate, ...], star: str | None
) -> MemoryEstimate | None:
    """The row of --row, else the recommended one. Raises UserError for an id that is not in the table."""
    wanted = options.row or star
    found = next((estimate for estimate in estimates if estimate.scheme_id == wanted), None)
    if found is None and options.row:
        ids = ", ".join(estimate.scheme_id for estimate in estimates)
        raise UserError(f"There is no row “{options.row}”.", hint=f"Choose one of {ids}.")
    return found


def comparison_lines(rows: tuple[ComparisonRow, ...]) -> Iterator[str]:
    """A line per device."""
    for row in rows:
        if row.estimate is None:
            yield f"{row.hardware.name}: nothing runs. {row.rule_of_thumb}"
            continue
        speed = row.estimate.speed
        fast = f", about {speed.tokens_per_second:.3g} tokens/s" if speed else ""
        yield f"{row.hardware.name}: {row.estimate.scheme_id}, {memory(row.estimate.total_bytes)}{fast}. " + (
            row.rule_of_thumb
        )


def log_text(lines: tuple[LogLine, ...]) -> Iterator[str]:
    """Predicted against real, a line per part."""
    for line in lines:
        error = f" ({'+' if line.error >= 0 else '-'}{percent(abs(line.error))})" if line.error is not None else ""
        yield f"{line.label}: predicted {memory(line.predicted)}, real {memory(line.real)}{error} {line.note}".rstrip()


def comparison_json(row: ComparisonRow) -> dict[str, Any]:
    """One device; `id` is None where nothing runs."""
    estimate = row.estimate
    return {
        "hardware": row.hardware.name,
        "id": estimate.scheme_id if estimate else None,
        "total_bytes": estimate.total_bytes if estimate else None,
        "verdict": estimate.verdict.value if estimate else None,
        "tokens_per_second": estimate.speed.tokens_per_second if estimate and estimate.speed else None,
        "rule_of_thumb": row.rule_of_thumb,
    }


def log_json(line: LogLine) -> dict[str, Any]:
    """One line of the log's comparison."""
    return {
        "line": line.label,
        "predicted_bytes": line.predicted,
        "real_bytes": line.real,
        "error": line.error,
        "note": line.note or None,
    }


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    return read_capped(Path(name), 4 * MAX_CHARACTERS).decode("utf-8", errors="replace")
