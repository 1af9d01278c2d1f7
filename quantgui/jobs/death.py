"""What the end of a process without a last word means, in a person's words."""

from __future__ import annotations

import signal

from quantgui.jobs.events import Failed

_MEMORY_HINT = "Close other programs or use a machine with more memory, then run it again."
_AGAIN_HINT = "Run it again. If it happens again, the details tell a developer where to look."

_SIGNALS = {
    "SIGKILL": ("was ended by the system, probably because memory ran out", _MEMORY_HINT),
    "SIGBUS": (
        "could not read a file that it had open",
        "Check that the model's files are complete and that their disk has free space, then run it again.",
    ),
    "SIGSEGV": ("crashed inside a library", _AGAIN_HINT),
    "SIGABRT": ("was aborted by a library", _AGAIN_HINT),
    "SIGTERM": ("was asked to end by another program", "Run it again."),
    "SIGILL": ("met an instruction that this processor does not have", "Install the libraries for this processor."),
}

_WINDOWS_CODES = {
    0xC0000005: ("crashed inside a library", _AGAIN_HINT),
    0xC0000017: ("ran out of memory", _MEMORY_HINT),
    0xC000013A: ("was interrupted", "Run it again."),
}


def describe_death(code: int | None, stderr: str) -> Failed:
    """The Failed event of a child that ended with exit code `code` and no terminal event.

    A negative code is the signal that killed it (POSIX); None means that it kept running but stopped talking.
    """
    what, hint = _words(code)
    ending = "no exit code" if code is None else f"exit code {code}"
    return Failed(f"The worker process {what}.", hint, "\n".join(filter(None, [ending, stderr])))


def _words(code: int | None) -> tuple[str, str]:
    if code is None:
        return "closed its connection without a result", _AGAIN_HINT
    if code == 0:
        return "ended without a result", _AGAIN_HINT
    if code < 0:
        name = _signal_name(-code)
        return _SIGNALS.get(name, (f"was ended by the signal {name}", _AGAIN_HINT))
    return _WINDOWS_CODES.get(code, (f"ended unexpectedly with exit code {code}", _AGAIN_HINT))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
