"""The child process that does a job: start, listen, end. No Qt; the window and the command line share it.

The child gets its job as one line on stdin and answers with one event per line on stdout. Its stdin stays open and it
exits when that closes, so it cannot outlive us. Whatever happens to it, the listener hears exactly one terminal event.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from quantgui.jobs.codec import decode_event, encode_job
from quantgui.jobs.death import describe_death
from quantgui.jobs.early_stop import REQUEST
from quantgui.jobs.events import TERMINAL, Cancelled, Event, Failed, Finished, Log
from quantgui.jobs.job import Job, WritesOutput
from quantgui.jobs.process_tree import JOB_VARIABLE, kill_group, kill_tree

MAX_LINE = 64 * 2**20
"""Longest event line in bytes; a finished ReadJob carries every tensor of a checkpoint in one line."""
STDERR_LINES = 40
EXIT_SECONDS = 3.0
"""How long a child may take to exit after its last word before its tree is killed."""
MAX_NOTES = 10
_POLL_SECONDS = 0.2
_HELD_PIPE_SECONDS = 1.0


def worker_command() -> list[str]:
    """The command that starts a worker with this very interpreter, or this very executable in a frozen build."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "--worker"]
    return [sys.executable, "-m", "quantgui", "--worker"]


class ChildProcess:
    """One job in one child process. `events()` is iterated by one thread; `cancel()` may be called from any."""

    def __init__(self, job: Job, command: Sequence[str] | None = None) -> None:
        self.job = job
        self._command = list(command) if command is not None else worker_command()
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # None: nothing more will come
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._readers: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._cancelled = False
        self._has_job = False  # before, a request to stop early would be read as the job
        self._last_message = time.monotonic()
        self._deadline = float("inf")
        self._notes = 0

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        return self._process.pid if self._process else None

    @property
    def silent_seconds(self) -> float:
        """Seconds since the child last said anything: worth a note when it grows, never a reason to kill it."""
        return time.monotonic() - self._last_message

    def events(self) -> Iterator[Event]:
        """Start the child and yield its events, the last one Finished, Failed or Cancelled.

        Lines that are no events, and whatever follows the terminal event, become Log notes. When the iterator ends or
        is abandoned, no process is left; unless the job finished, its partial output is removed.
        """
        outcome: Event | None = None
        code: int | None = None
        left_over = ""
        try:
            outcome = self._start()
            for line in self._received():
                event = self._decode(line, outcome)
                if isinstance(event, TERMINAL):
                    outcome = event
                    self._ask_to_exit()
                elif event is not None:
                    yield event
            code = self._exit_code()
        finally:
            self._end()
            if not isinstance(outcome, Finished):
                left_over = self._remove_partial_output()
        if left_over:
            yield Log(left_over, "warning")
        if self._cancelled and not isinstance(outcome, Finished):
            outcome = Cancelled()
        yield outcome or describe_death(code, "\n".join(self._stderr))

    def cancel(self) -> None:
        """Kill the child and everything it started, now. `events()` then ends with Cancelled unless it had finished."""
        with self._lock:
            self._cancelled = True
            if self._process and self._process.poll() is None:
                kill_tree(self._process.pid)
        self._lines.put(None)

    def stop_early(self) -> None:
        """Ask the child to end its training and go on with what it has; does nothing where none is at work."""
        with self._lock, contextlib.suppress(OSError, ValueError):  # it has ended, or its stdin is closed
            if self._has_job and self._process and self._process.stdin:
                self._process.stdin.write(REQUEST)
                self._process.stdin.flush()

    def _start(self) -> Failed | None:
        """Start the child and hand it its job, unless cancelled before. Returns Failed where that is impossible."""
        with self._lock:
            if self._cancelled:
                return None
            try:
                line = encode_job(self.job) + b"\n"
                self._process = process = self._spawn()
            except UnicodeEncodeError as error:  # a name or an argument in another encoding than the system's
                self._lines.put(None)
                return Failed(
                    "A path or a text has characters that are not Unicode, so the job cannot be passed on.",
                    "Rename the file or its folder, or type the text anew.",
                    str(error),
                )
            except OSError as error:
                self._lines.put(None)
                return Failed(
                    "The worker process could not be started.",
                    "Check that the installation is complete and that memory is free, then run it again.",
                    f"{' '.join(self._command)}\n{error}",
                )
        _prefer_when_memory_runs_out(process.pid)
        assert process.stdin and process.stdout and process.stderr
        self._in_background(self._read_stdout, process.stdout)
        self._in_background(self._read_stderr, process.stderr)
        with contextlib.suppress(OSError):  # it died before it read its job: the exit code will tell
            process.stdin.write(line)
            process.stdin.flush()
            self._has_job = True
        return None

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(self.job),
            start_new_session=sys.platform != "win32",
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0,
        )

    def _in_background(self, read: Callable[[IO[bytes]], None], pipe: IO[bytes]) -> None:
        thread = threading.Thread(target=read, args=(pipe,), daemon=True, name=f"output of job {self.job.id}")
        thread.start()
        self._readers.append(thread)

    def _read_stdout(self, pipe: IO[bytes]) -> None:
        with pipe, contextlib.suppress(OSError):
            while line := pipe.readline(MAX_LINE):
                self._lines.put(line)
        self._lines.put(None)

    def _read_stderr(self, pipe: IO[bytes]) -> None:
        with pipe, contextlib.suppress(OSError):
            while line := pipe.readline(4096):
                self._stderr.append(line.decode(errors="replace").rstrip())

    def _received(self) -> Iterator[bytes]:
        """Lines until the stream ends, the job is cancelled, or a child that has ended stays silent.

        The last case is a pipe held open by something that the child started and that left its process group.
        """
        while time.monotonic() < self._deadline:
            try:
                line = self._lines.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self._process and self._process.poll() is not None:
                    self._deadline = min(self._deadline, time.monotonic() + _HELD_PIPE_SECONDS)
                continue
            if line is None:
                return
            self._last_message = time.monotonic()
            yield line

    def _decode(self, line: bytes, outcome: Event | None) -> Event | None:
        """The event of one line, a note in the place of what is none, or None once there were too many notes."""
        problem = "spoke after its end"
        if outcome is None:
            try:
                return decode_event(line)
            except ValueError:  # a library that prints, or a line cut off by the end of the process
                problem = "said something that is no event"
        if not line.strip() or self._notes >= MAX_NOTES:
            return None
        self._notes += 1
        return Log(f"The worker process {problem}: {line[:300].decode(errors='replace').strip()}", "warning")

    def _ask_to_exit(self) -> None:
        """Close the child's stdin and give it a moment; closing flushes, which fails when it is gone already."""
        self._deadline = time.monotonic() + EXIT_SECONDS
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _exit_code(self) -> int | None:
        """The child's own exit code, None if it does not end by itself although its stream has ended."""
        if self._process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(EXIT_SECONDS)
        return None

    def _end(self) -> None:
        """Leave no process and no open pipe behind; what the child started dies with it."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()
        else:
            kill_group(process.pid)
        self._ask_to_exit()
        for thread in self._readers:  # each closes its own pipe; one that is held open elsewhere must not hold us
            thread.join(_HELD_PIPE_SECONDS / 2)

    def _remove_partial_output(self) -> str:
        """Remove what an unfinished job had written. Returns a sentence where that fails, else "".

        An earlier run that was about to be replaced gets its name back.
        """
        if not isinstance(self.job, WritesOutput):
            return ""
        replaced, target = Path(self.job.replaced_output), Path(self.job.target)
        if replaced.is_dir() and target.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        elif replaced.is_dir():
            with contextlib.suppress(OSError):
                replaced.rename(target)
        partial = Path(self.job.partial_output)
        if partial.is_dir() and not partial.is_symlink():
            shutil.rmtree(partial, ignore_errors=True)
            if partial.exists():
                return f"The unfinished output could not be removed: {partial}"
        return ""


def _environment(job: Job) -> dict[str, str]:
    """The child's environment: it finds this package, and imports nothing from the folder it is started in.

    Without PYTHONSAFEPATH `python -m` would import a `torch.py` that lies in a downloaded model's folder.
    """
    environment = dict(os.environ, PYTHONSAFEPATH="1", GGML_NO_BACKTRACE="1")
    environment[JOB_VARIABLE] = job.id
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH", "")]))
    return environment


def _prefer_when_memory_runs_out(pid: int) -> None:
    """Tell Linux to end the child rather than the window when memory runs out."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("500")
