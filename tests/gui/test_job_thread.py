"""The thread's promises: batches in order, one end, an answer to cancel, and no thread left behind."""

from __future__ import annotations

import sys

import psutil
import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from quantgui.gui.job_thread import JobThread
from quantgui.jobs.codec import encode_event
from quantgui.jobs.events import Cancelled, Event, Failed, Finished, Progress, Started
from quantgui.jobs.job import ReadJob

JOB = ReadJob("/nowhere")


def thread(script: str) -> tuple[JobThread, list[list[Event]]]:
    """A thread whose child runs `script`, and the batches that it delivers."""
    head = "import os, signal, sys, time\nsys.stdin.readline()\n"
    made = JobThread(JOB, command=[sys.executable, "-c", head + script])
    batches: list[list[Event]] = []
    made.events.connect(batches.append)
    return made, batches


def say(event: Event) -> str:
    return f"print({encode_event(event).decode()!r}, flush=True)\n"


def run(qtbot: QtBot, job_thread: JobThread) -> None:
    with qtbot.waitSignal(job_thread.ended, timeout=20_000):
        job_thread.start()
    assert job_thread.wait(1000)


def test_ten_thousand_events_arrive_in_order_in_few_batches(qtbot: QtBot) -> None:
    progress = encode_event(Progress(777)).decode()
    script = f"for n in range(10_000): print({progress!r}.replace('777', str(n)))\n"
    job_thread, batches = thread(say(Started("x", 10_000, 1)) + script + say(Finished()))
    run(qtbot, job_thread)
    events = [event for batch in batches for event in batch]
    assert events == [Started("x", 10_000, 1), *(Progress(n) for n in range(10_000)), Finished()]
    assert len(batches) < 200


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_child_is_an_event_in_the_window(qtbot: QtBot) -> None:
    job_thread, batches = thread("os.kill(os.getpid(), signal.SIGKILL)")
    run(qtbot, job_thread)
    ((failed,),) = batches
    assert isinstance(failed, Failed)
    assert "memory ran out" in failed.message


def test_cancel_returns_and_ends_a_hanging_child(qtbot: QtBot) -> None:
    job_thread, batches = thread(say(Started("x", 1, 1)) + "time.sleep(600)")
    with qtbot.waitSignal(job_thread.events, timeout=20_000):
        job_thread.start()
    pid = job_thread._child.pid
    with qtbot.waitSignal(job_thread.ended, timeout=20_000):
        job_thread.cancel()
    assert batches[-1][-1] == Cancelled()
    assert pid is not None and not psutil.pid_exists(pid)
    assert job_thread.wait(1000)


def test_closing_at_once_leaves_no_thread(qtbot: QtBot) -> None:
    job_thread, _ = thread("time.sleep(600)")
    job_thread.start()
    job_thread.cancel()
    assert job_thread.wait(10_000)


def test_a_signal_survives_five_thousand_emits_of_a_bool() -> None:
    """PySide6 6.12.0 drops a reference to True at each emit and takes the interpreter down after about 550."""

    class Sender(QObject):
        said = Signal(bool)

    sender, heard = Sender(), []
    sender.said.connect(heard.append)
    references = sys.getrefcount(True)
    for _ in range(5000):
        sender.said.emit(True)
    assert len(heard) == 5000
    assert sys.getrefcount(True) >= references
