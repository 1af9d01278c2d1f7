"""The steps of `dev.py test`: each is one tool with one verdict, and all of them run even when one fails."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

import environment

STEPS = (
    ("format", ["ruff", "format", "--check", "--quiet"], "run: .venv/bin/ruff format"),
    ("lint", ["ruff", "check", "--quiet"], "run: .venv/bin/ruff check --fix"),
    ("types", ["pyright"], "the lines above name the places"),
    ("imports", ["lint-imports"], "quantgui/ARCHITECTURE.md says which room may import which"),
)
WIDTH = 8


def run_all(pytest_arguments: list[str]) -> int:
    """Run every step, sum up, and close with pytest's own last line. 0 only when all passed."""
    summary, failed = [], False
    for name, command, hint in STEPS:
        passed, seconds = _quiet_step(name, command, hint)
        failed |= not passed
        summary.append((name, passed, seconds))
    started = time.monotonic()
    code, last_line = _pytest(pytest_arguments)
    summary.append(("tests", code == 0, time.monotonic() - started))
    print("\n" + "\n".join(_line(*row) for row in summary))
    print(last_line, flush=True)
    return 1 if failed or code else 0


def _line(name: str, passed: bool, seconds: float) -> str:
    return f"{name:{WIDTH}} {'passed' if passed else 'FAILED'} {seconds:8.1f} s"


def _quiet_step(name: str, command: list[str], hint: str) -> tuple[bool, float]:
    """Run a tool; show what it said only where it failed."""
    started = time.monotonic()
    result = subprocess.run(
        [environment.venv_tool(command[0]), *command[1:]],
        cwd=environment.ROOT,
        env=environment.clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    seconds = time.monotonic() - started
    passed = result.returncode == 0
    if not passed:
        print(f"{result.stdout.rstrip()}\n({hint})")
    print(_line(name, passed, seconds), flush=True)
    return passed, seconds


def _pytest(arguments: list[str]) -> tuple[int, str]:
    """Run pytest with its output shown as it comes; its exit code and its last line."""
    command = [str(environment.venv_python()), "-m", "pytest", *arguments]
    if sys.stdout.isatty():
        command.append("--color=yes")
    tail = b""
    with subprocess.Popen(
        command,
        cwd=environment.ROOT,
        env=environment.clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        for chunk in iter(partial(process.stdout.read, 4096), b""):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            tail = (tail + chunk)[-4096:]
    lines = tail.decode("utf-8", errors="replace").split("\n")
    return process.returncode, next((line.strip() for line in reversed(lines) if line.strip()), "pytest said nothing")
