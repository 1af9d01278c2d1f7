"""The child process: one job line in on stdin, event lines out on stdout, exit.

Libraries print; so the pipe of events is a private copy of stdout and everything printed goes to stderr.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import BinaryIO

from quantgui.jobs import early_stop
from quantgui.jobs.codec import decode_job, encode_event
from quantgui.jobs.events import Event, Failed
from quantgui.types import UserError


def main() -> int:
    """Reads a job, runs it, ends the stream with exactly one terminal event. Returns the exit code."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            pipe.write(encode_event(event) + b"\n")

    _quiet_libraries()
    try:
        job = decode_job(requests.readline())
        threading.Thread(target=_listen, args=(requests,), daemon=True).start()
        from quantgui.pipeline import run

        run(job, emit)
    except BaseException as error:
        emit(failure(error))
        return 1
    return 0


def failure(error: BaseException) -> Failed:
    """A person's words for an exception; everything else goes into the details."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, UserError):
        return Failed(error.message, error.hint, error.details or trace)
    if isinstance(error, MemoryError):
        return Failed("The memory ran out.", "Close other programs, or use a machine with more memory.", trace)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        hints = {28: "Free some space, or choose another disk.", 13: "Choose a place that you may read and write."}
        return Failed(f"{error.strerror or error}{where}.", hints.get(error.errno or 0, "Check the path."), trace)
    return Failed(
        f"Something unexpected happened: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        "Please report this with the details.",
        trace,
    )


def _listen(requests: BinaryIO) -> None:
    """Hears the parent while it lives, and ends this process when it is gone: its end of stdin closes.

    Not through sys.stdin: at its end the interpreter would wait a second for this thread to let go of it, then abort.
    """
    for line in requests:
        if line == early_stop.REQUEST:
            early_stop.REQUESTED.set()
    os._exit(3)


def _quiet_libraries() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
