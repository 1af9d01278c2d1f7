"""The progress bar of the command line, with a clock of its own."""

import pytest

from quantgui.cli.run_job import TRUSTED_SECONDS, ProgressBar
from quantgui.jobs.events import Progress, Stage, Started


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.rpartition("\r\x1b[K")[2].replace("\u00a0", " ")


def test_the_time_left_follows_the_pace_of_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    bar = ProgressBar(enabled=True, clock=clock)
    bar.show(Started("x", 100, 2))
    bar.show(Stage("Quantizing"))
    bar.show(Progress(10, "a"))
    clock.now += 2 * TRUSTED_SECONDS
    bar.show(Progress(40, "b"))  # 30 of 100 took 6 s: the other 60 take 12 s
    assert "40%  12 s left  b" in last_line(capsys)
    bar.show(Progress(100, "c"))
    assert "left" not in last_line(capsys)
    bar.show(Stage("Checking"))
    bar.show(Progress(50, "d"))
    assert "left" not in last_line(capsys), "a new stage has a pace of its own"


def test_nothing_is_drawn_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar(enabled=False)
    for event in (Started("x", 100, 2, ("Look out.",)), Stage("Quantizing"), Progress(10, "a")):
        bar.show(event)
    assert capsys.readouterr().err == "note: Look out.\n"
