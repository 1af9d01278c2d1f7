"""The listener's promises, on children that behave badly in every way that children do."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from quantgui.jobs.child import ChildProcess
from quantgui.jobs.codec import encode_event
from quantgui.jobs.events import TERMINAL, Cancelled, Failed, Finished, Log, Progress, Started
from quantgui.jobs.process_tree import living_jobs
from tests.jobs import samples

STARTED = Started("0123abcd", 100, 2)
TAPE = (STARTED, Progress(50, "a"), Progress(100, "b"))


def child(script: str, output: str = "/nowhere/out") -> ChildProcess:
    """A child that runs `script`, in which `say(line)` prints a line and `job` is the line that it was given."""
    head = (
        "import os, sys, time, subprocess, signal\njob = sys.stdin.readline()\nsay = lambda s: print(s, flush=True)\n"
    )
    return ChildProcess(samples.job(output), [sys.executable, "-c", head + script])


def say(*events: object) -> str:
    return "".join(f"say({encode_event(event).decode()!r})\n" for event in events)  # type: ignore[arg-type]


def test_a_good_child_is_heard_word_for_word() -> None:
    events = list(child(say(*TAPE, Finished())).events())
    assert events == [*TAPE, Finished()]


def test_the_job_arrives_as_one_line_and_stdin_stays_open() -> None:
    script = 'say(job) if False else None\nassert job.startswith(\'{"type":"QuantizeJob"\')\n' + say(Finished())
    script += "assert sys.stdin.read() == ''\n"  # returns only once the parent closes it
    assert list(child(script).events()) == [Finished()]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("", "ended without a result"),
        ("sys.exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "memory ran out"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed inside a library"),
        ("os.close(1); os.close(2); time.sleep(60)", "closed its connection"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_silent_end_becomes_one_failure_in_words(script: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantgui.jobs.child.EXIT_SECONDS", 0.2)
    *before, last = child(say(STARTED) + script).events()
    assert before == [STARTED]
    assert isinstance(last, Failed)
    assert words in last.message
    assert last.hint


def test_the_last_lines_of_stderr_are_the_details() -> None:
    script = "[print('line', n, file=sys.stderr) for n in range(1000)]\nraise SystemExit(1)"
    (failed,) = child(script).events()
    assert isinstance(failed, Failed)
    assert "line 999" in failed.details
    assert "line 1\n" not in failed.details


def test_garbage_and_words_after_the_end_are_notes_and_the_end_is_last() -> None:
    script = "say('loading weights: 100%')\nsay('{\"type\": \"Nobody\"}')\n" + say(STARTED, Finished(), Failed("late"))
    events = list(child(script).events())
    assert [type(e) for e in events] == [Log, Log, Started, Log, Finished]
    assert sum(isinstance(e, TERMINAL) for e in events) == 1


def test_a_flood_of_garbage_gives_few_notes() -> None:
    events = list(child("[say('noise') for _ in range(5000)]\n" + say(Finished())).events())
    assert len(events) <= 11
    assert events[-1] == Finished()


def test_a_child_that_lingers_after_its_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantgui.jobs.child.EXIT_SECONDS", 0.2)
    process = child(say(Finished()) + "time.sleep(600)")
    assert list(process.events()) == [Finished()]
    assert process.pid and not psutil.pid_exists(process.pid)


def test_an_impossible_command_is_a_failure() -> None:
    (failed,) = ChildProcess(samples.job(), ["/no/such/program"]).events()
    assert isinstance(failed, Failed)
    assert "/no/such/program" in failed.details


def test_cancel_kills_the_tree_and_removes_the_partial_output(tmp_path: Path) -> None:
    output = tmp_path / "out"
    partial = Path(samples.job(str(output)).partial_output)
    script = f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.mkdir({str(partial)!r}); open({str(partial / "w")!r}, "w").write("x")
for session in (False, True):
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=session)
    say('{{"type": "Log", "text": "%d"}}' % grandchild.pid)
time.sleep(600)
"""
    process = child(script, str(output))
    grandchildren, events = [], []
    for event in process.events():
        events.append(event)
        if isinstance(event, Log):
            grandchildren.append(int(event.text))
            if len(grandchildren) == 2:
                process.cancel()
    assert events[-1] == Cancelled()
    assert not partial.exists()
    assert not any(_alive(pid) for pid in grandchildren)


def test_cancel_from_another_thread_ends_a_hanging_child() -> None:
    process = child(say(STARTED) + "time.sleep(600)")
    stream = process.events()
    assert next(stream) == STARTED
    threading.Thread(target=process.cancel).start()
    assert list(stream) == [Cancelled()]


def test_a_request_to_stop_early_never_comes_before_the_job() -> None:
    """The child would read it in the job's place."""
    script = 'assert job.startswith("{"), job\n' + say(STARTED) + "assert sys.stdin.readline() == 'stop early\\n'\n"
    process = child(script + say(Finished()))
    spawn = process._spawn

    def asked_at_once():
        process._process = spawn()
        process._lock.release()
        process.stop_early()
        process._lock.acquire()
        return process._process

    process._spawn = asked_at_once  # type: ignore[method-assign]
    events = []
    for event in process.events():
        events.append(event)
        process.stop_early()
    assert events == [STARTED, Finished()]


def test_a_name_that_is_no_unicode_is_one_sentence() -> None:
    process = child(say(Finished()), output="/nowhere/\udcff")
    (failed,) = process.events()
    assert isinstance(failed, Failed)
    assert "not Unicode" in failed.message
    assert process.pid is None


def test_cancel_before_the_start_starts_nothing() -> None:
    process = child("time.sleep(600)")
    process.cancel()
    assert list(process.events()) == [Cancelled()]
    assert process.pid is None


def test_what_has_finished_cannot_be_cancelled_any_more(tmp_path: Path) -> None:
    process = child(say(*TAPE, Finished()))
    stream = process.events()
    next(stream)
    deadline = time.monotonic() + 20
    while process._process and process._process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.cancel()
    assert list(stream)[-1] == Finished()


def test_an_abandoned_stream_leaves_no_process(tmp_path: Path) -> None:
    process = child(say(STARTED) + "time.sleep(600)")
    stream = process.events()
    next(stream)
    assert "0123abcd" in living_jobs()
    stream.close()  # type: ignore[attr-defined]
    assert process.pid and not psutil.pid_exists(process.pid)
    assert "0123abcd" not in living_jobs()


def test_failing_removes_the_partial_output_and_finishing_does_not(tmp_path: Path) -> None:
    for last, stays in ((Failed("no"), False), (Finished(), True)):
        output = str(tmp_path / type(last).__name__)
        partial = Path(samples.job(output).partial_output)
        list(child(f"os.mkdir({str(partial)!r})\n" + say(last), output).events())
        assert partial.exists() is stays


def test_a_pipe_held_by_a_process_that_escaped_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'], start_new_session=True)\n"
    process = child(script + 'say(\'{"type": "Log", "text": "%d"}\' % p.pid)\nsys.exit(0)')
    log, *_, last = process.events()
    assert isinstance(last, Failed)
    assert isinstance(log, Log)
    psutil.Process(int(log.text)).kill()


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
