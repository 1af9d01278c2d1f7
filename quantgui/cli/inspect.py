"""`quantgui inspect MODEL [--against ORIGINAL]`: the tensor table, with errors where there is something to compare."""

from __future__ import annotations

import argparse
import sys

from quantgui import units
from quantgui.cli.quantize import absolute
from quantgui.cli.run_job import run_job
from quantgui.jobs.events import Event, TensorDone
from quantgui.jobs.job import InspectJob
from quantgui.jobs.report_log import ReportLog
from quantgui.types import TensorReport

HELP = "the tensors of a model, with errors against the original it was made from"
COLUMNS = f"{'tensor':<44} {'shape':>16} {'bits':>6} {'bytes':>13} {'absmax':>9}"
ERROR_COLUMNS = f" {'SQNR dB':>8} {'MSE':>10} {'max err':>10}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("model", metavar="MODEL", help="a model folder or file, or “demo”; GGUF files of any type too")
    parser.add_argument("--against", metavar="ORIGINAL", help="the folder or file that MODEL was made from")
    parser.add_argument("--tensor", metavar="NAME", help="one tensor only")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines; the last one is terminal")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code."""
    job = InspectJob(absolute(options.model), absolute(options.against) if options.against else None, options.tensor)
    columns = COLUMNS + ERROR_COLUMNS if job.against else COLUMNS
    heading = [columns]  # printed with the first row: a model that cannot be read has no table
    reports: list[TensorReport] = []

    def show(event: Event) -> None:
        if isinstance(event, TensorDone) and not options.json:
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[K")
            print("\n".join([*heading, _line(event.report)]), flush=True)
            heading.clear()
            reports.append(event.report)

    if not run_job(job, as_json=options.json, on_event=show):
        return 1
    if len(reports) > 1:
        log = ReportLog(tuple(reports))
        size = units.file_size(sum(report.bytes_after for report in reports))
        print(f"{len(log):,} tensors, {size}, {units.bits_per_weight(log.bits_per_weight)}")
    return 0


def _line(report: TensorReport) -> str:
    error = report.error
    absmax = format(max(map(abs, (report.before.low, report.before.high))), ".3g") if report.before else ""
    shape = "x".join(map(str, report.shape))
    line = f"{report.name:<44} {shape:>16} {report.bits:>6.2f} {report.bytes_after:>13,} {absmax:>9}"
    if error is None:
        return line.rstrip()
    sqnr = "exact" if error.sqnr_db is None else format(error.sqnr_db, ".1f")
    return f"{line} {sqnr:>8} {error.mse:>10.2e} {error.max_abs:>10.2e}"
