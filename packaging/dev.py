#!/usr/bin/env python3
"""The commands of this project, for any machine with Python: run, test, bench, shots, clean.

Standard library only. The first command makes `.venv` and installs into it; later ones start at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import checks
import environment
import system_libraries

OUT = environment.ROOT / "out"
CACHES = (".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache", "build", "dist", "out")


def has_display() -> bool:
    """Whether a window can be shown; Windows and macOS always have a display."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def run(arguments: list[str]) -> int:
    """Open the window on the bundled model; without a display, do its main job offscreen and leave a report."""
    wants_window = not arguments or arguments[0].startswith("-")
    if has_display() or not wants_window:
        python = environment.ensure(screen=wants_window)
        return _call([str(python), "-m", "quantgui", *arguments])
    python = environment.ensure()
    print("No display: doing the same job offscreen.", flush=True)
    return _script(python, "offscreen.py", ["--out", str(OUT / "demo")])


def test(arguments: list[str]) -> int:
    """Format, lint, types, import contracts and tests; `arguments` go to pytest."""
    environment.ensure(("test",))
    return checks.run_all(arguments)


def bench(arguments: list[str]) -> int:
    """Named benchmarks: a readable line each, JSON at the end."""
    return _script(environment.ensure(("test",)), "bench_runner.py", arguments)


def shots(arguments: list[str]) -> int:
    """Every page, light and dark, at two sizes, as PNG files."""
    return _script(environment.ensure(("test",)), "shots.py", arguments or ["--out", str(OUT / "shots")])


def clean(arguments: list[str]) -> int:
    """Remove `.venv`, caches and outputs of this checkout."""
    if arguments:
        raise environment.SetupError("clean takes no arguments.")
    for folder in (environment.VENV, *(environment.ROOT / name for name in CACHES)):
        if folder.exists():
            shutil.rmtree(folder)
            print(f"Removed {folder}")
    return 0


COMMANDS = {"run": run, "test": test, "bench": bench, "shots": shots, "clean": clean}


def _script(python: Path, name: str, arguments: list[str]) -> int:
    return _call([str(python), str(Path(__file__).with_name(name)), *arguments])


def _call(command: list[str]) -> int:
    return subprocess.call(command, cwd=environment.ROOT, env=environment.clean_environment())


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 for success, 2 where the environment cannot be made."""
    parser = argparse.ArgumentParser(
        prog="packaging/dev.py",
        description=__doc__.splitlines()[0] if __doc__ else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:6} {(do.__doc__ or '').splitlines()[0]}" for name, do in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="given on to the command")
    options = parser.parse_args(argv)
    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    try:
        return COMMANDS[options.command](arguments)
    except (environment.SetupError, system_libraries.MissingLibrariesError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
