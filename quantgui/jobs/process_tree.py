"""Ending a process with everything it started, and finding which jobs still have a living process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import psutil

JOB_VARIABLE = "QUANTGUI_JOB"
"""Environment variable of every worker (and of what it starts): the id of its job."""


def kill_tree(pid: int) -> None:
    """Kill `pid`, its process group and all its descendants at once; nothing is asked to end politely.

    Descendants that left the group are found first, while their line of parents is still whole.
    """
    descendants: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        descendants = psutil.Process(pid).children(recursive=True)
    kill_group(pid)
    for process in [*descendants, *_same_process(pid)]:
        with contextlib.suppress(psutil.Error):
            process.kill()


def kill_group(pid: int) -> None:
    """Kill what is left of the process group that `pid` leads (or led until just now); nothing on Windows."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def living_jobs() -> frozenset[str]:
    """Ids of all jobs of this user that have a living worker, whichever window or command line started it."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.environ().get(JOB_VARIABLE))
    return frozenset(filter(None, found))


def _same_process(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [psutil.Process(pid)]
    return []
