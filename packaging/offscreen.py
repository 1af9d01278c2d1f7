"""`dev.py run` where there is no display: the main job, from the bundled model to a report, through the real window."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from showcase import Showcase

from quantgui import units
from quantgui.gui.fit.groups import usual
from quantgui.jobs.run_record import read_run
from quantgui.report.findings import headline
from quantgui.report.html import write_report
from quantgui.types import MemoryEstimate, UserError

SCHEME = "INT4"


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 when the checkpoint, the report and the pictures are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the checkpoint, the report and the pictures"
    )
    out: Path = parser.parse_args(argv).out.resolve()
    try:
        _do(out)
    except (UserError, OSError) as error:
        print(error, getattr(error, "hint", ""), file=sys.stderr)
        return 1
    return 0


def _do(out: Path) -> None:
    with Showcase() as show:
        show.open_demo()
        model, state = show.state.checkpoint, show.state
        assert model is not None
        size = units.file_size(model.nbytes)
        print(f"Model     {model.name}: {units.parameters(model.parameters)} parameters, {model.dtype}, {size}")
        print(f"Hardware  {state.hardware.name}: {units.memory(state.hardware.ram_bytes)} RAM")
        estimates = usual(state.estimates, {SCHEME})
        for estimate in estimates:
            print(f"Estimate  {_line(estimate)}")
        print(f"Run       quantizing to {SCHEME} …", flush=True)
        result = show.quantize(SCHEME, out / f"demo-{SCHEME}")
        record, reports = read_run(result.output)
        report = write_report(out / "report.html", record, reports, estimates=estimates, hardware=state.hardware)
        for page in show.pages:
            show.shot(page, out / f"{page}.png")
    print(f"Result    {headline(result)}. {result.verification.summary}")
    print(f"Report    {report}")
    print(f"Pictures  {out}")


def _line(estimate: MemoryEstimate) -> str:
    bits = units.bits_per_weight(estimate.bits_per_weight)
    return f"{estimate.scheme_id:10} {bits:18} {units.memory(estimate.total_bytes):>9}  {estimate.verdict.value}"


if __name__ == "__main__":
    sys.exit(main())
