"""The `.venv` of a checkout: which interpreter makes it, when it must be renewed, and what is installed into it.

Standard library only, and readable by Python 3.8, so that an old interpreter can still say what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import system_libraries

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "quantgui-installed.json"
LOG = VENV / "install.log"
SUPPORTED = ((3, 11), (3, 12), (3, 13))
PROBE = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1])"


class SetupError(Exception):
    """The environment cannot be made; the text is one line with the next step."""


def venv_python() -> Path:
    """The interpreter inside `.venv`, whether it exists yet or not."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def venv_tool(name: str) -> str:
    """A program that pip installed into `.venv` ("ruff")."""
    folder = venv_python().parent
    return str(folder / (name + ".exe" if os.name == "nt" else name))


def clean_environment() -> dict[str, str]:
    """This process's environment without what would point a child at another interpreter's packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}


def ensure(extras: tuple[str, ...] = (), *, screen: bool = False) -> Path:
    """The interpreter of an up-to-date `.venv` with `extras` installed.

    Returns at once, without pip and without network, when `pyproject.toml` is what it was at the last complete
    installation. Raises SetupError. `screen`: a window will be shown, so Qt also needs what talks to the display.
    """
    with _one_at_a_time():
        return _ensure(extras, screen)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """`run` started while `test` installs waits for it: two pips in one `.venv` spoil it, and the stamp with it.

    The lock is one on `pyproject.toml` and ends with this process; Windows has none.
    """
    with (ROOT / "pyproject.toml").open("rb") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Waiting for another command that is installing …", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:  # a file system without locks
                pass
        yield


def _ensure(extras: tuple[str, ...], screen: bool) -> Path:
    stamp = _read_stamp()
    if not _is_current(stamp, extras):
        installed = stamp.get("extras", [])
        keep = installed if isinstance(installed, list) else []
        stamp = _install(tuple(sorted({*extras, *keep})))
    purpose = "screen" if screen else "offscreen"
    libraries = stamp.get("libraries", [])
    if isinstance(libraries, list) and purpose not in libraries:
        system_libraries.ensure(VENV, screen=screen)
        _write_stamp({**stamp, "libraries": [*libraries, purpose]})
    return venv_python()


def fingerprint() -> str:
    """What an installation depends on: `pyproject.toml` and where the checkout lies (a `.venv` cannot be moved)."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()).hexdigest()


def _is_current(stamp: dict[str, object], extras: tuple[str, ...]) -> bool:
    installed = stamp.get("extras", [])
    return (
        stamp.get("fingerprint") == fingerprint()
        and isinstance(installed, list)
        and set(extras) <= set(installed)
        and venv_python().exists()  # follows the link: false when the interpreter it was made with is gone
    )


def _read_stamp() -> dict[str, object]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(stamp: dict[str, object]) -> None:
    partial = STAMP.with_suffix(".partial")
    partial.write_text(json.dumps(stamp), encoding="utf-8")
    partial.replace(STAMP)


def _install(extras: tuple[str, ...]) -> dict[str, object]:
    """Make `.venv` where it is missing or broken, install into it, and write the stamp last."""
    if STAMP.exists():
        STAMP.unlink()  # an interrupted installation must not look complete
    if not _works(venv_python(), "import pip"):
        _make_venv()
    target = ".[{}]".format(",".join(extras)) if extras else "."
    started = time.monotonic()
    print(f"Installing {target} into .venv (about 2 GB to download the first time; log: {LOG}) …", flush=True)
    command = [str(venv_python()), "-m", "pip", "install", "--editable", target]
    with LOG.open("w", encoding="utf-8") as log:
        code = subprocess.call(command, cwd=ROOT, env=clean_environment(), stdout=log, stderr=subprocess.STDOUT)
    if code:
        raise SetupError(f"pip could not install QuantGUI: {_last_error(LOG)} The whole log: {LOG}")
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)
    stamp: dict[str, object] = {"fingerprint": fingerprint(), "extras": list(extras), "libraries": []}
    _write_stamp(stamp)
    return stamp


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["pip said nothing."])[-1][:300]


def _make_venv() -> None:
    interpreter = find_interpreter()
    print(f"Making .venv with {interpreter} …", flush=True)
    result = subprocess.run(
        [interpreter, "-m", "venv", "--clear", str(VENV)], env=clean_environment(), capture_output=True, text=True
    )
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines()
        raise SetupError(f"{interpreter} could not make .venv: {lines[-1] if lines else 'no reason given'}")


def find_interpreter() -> str:
    """The interpreter to make `.venv` with: the running one where it will do, else the newest supported one found.

    Raises SetupError where there is none; on Debian as root, a missing venv module is installed first.
    """
    usable = [path for path in _candidates() if _works(path, PROBE)]
    if usable:
        return usable[0]
    bare = next((path for path in _candidates() if _works(path, "import sys")), None)
    if bare is None:
        found = "{}.{}".format(*sys.version_info[:2])
        raise SetupError(
            f"QuantGUI needs Python 3.11, 3.12 or 3.13 and only {found} was found: install one of them "
            "(python.org, your system's packages, or `uv python install 3.12`) and run this again."
        )
    package = "python3-venv" if Path(bare).name == "python3" else f"{Path(bare).name}-venv"
    if system_libraries.apt_install([package]) and _works(bare, PROBE):
        return bare
    raise SetupError(f"{bare} has no venv or ensurepip module: install it (on Debian: apt-get install {package}).")


def _candidates() -> list[str]:
    """Paths of interpreters of a supported version, the running one first, then the newest."""
    found = [sys.executable] if sys.version_info[:2] in SUPPORTED else []
    for major, minor in reversed(SUPPORTED):
        path = shutil.which(f"python{major}.{minor}")
        if path:
            found.append(path)
        if os.name == "nt" and shutil.which("py"):
            command = ["py", f"-{major}.{minor}", "-c", "import sys; print(sys.executable)"]
            result = subprocess.run(command, capture_output=True, text=True)
            found += [result.stdout.strip()] if result.returncode == 0 else []
    return list(dict.fromkeys(found))


def _works(python: str | Path, code: str) -> bool:
    """Whether the interpreter exists, starts and runs `code`; a pyenv shim of an inactive version does not."""
    try:
        return subprocess.run([str(python), "-c", code], env=clean_environment(), capture_output=True).returncode == 0
    except OSError:
        return False
