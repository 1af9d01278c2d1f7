"""What Qt needs from a Linux system: found by asking the loader, installed where we may, named otherwise.

Qt's own wheels bring Qt but not the libraries below it, and a bare server or container lacks several. Windows and
macOS bring everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

QT_MODULES = ("QtCore", "QtGui", "QtWidgets", "QtSvg", "QtTest")
APT_LOG = Path(tempfile.gettempdir()) / "quantgui-apt-get.log"
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")

DEBIAN_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLX.so.0": "libglx0",
    "libOpenGL.so.0": "libopengl0",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libwayland-egl.so.1": "libwayland-egl1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
"""Debian's package for each library that Qt 6 links against. An unknown one is still named by its own name."""


class MissingLibrariesError(Exception):
    """Qt cannot start on this system; the text is one line that names what to install."""


def ensure(venv: Path, *, screen: bool) -> None:
    """Make Qt loadable: check, install what is missing where possible, check again. Raises MissingLibrariesError."""
    if not sys.platform.startswith("linux"):
        return
    missing = missing_libraries(venv, screen=screen)
    packages = sorted({DEBIAN_PACKAGES[name] for name in missing if name in DEBIAN_PACKAGES})
    if not has_fonts():
        packages.append("fonts-dejavu-core")
    if packages and apt_install(packages):
        missing = missing_libraries(venv, screen=screen)
    if missing:
        raise MissingLibrariesError(_advice(missing, packages))


def missing_libraries(venv: Path, *, screen: bool) -> list[str]:
    """Names of the shared libraries that the loader cannot find for the Qt parts in use, sorted."""
    folders = list(venv.glob("lib/python3*/site-packages/PySide6"))
    if not folders or not shutil.which("ldd"):
        return []
    plugins = folders[0] / "Qt" / "plugins" / "platforms"
    files = [folders[0] / f"{module}.abi3.so" for module in QT_MODULES] + [plugins / "libqoffscreen.so"]
    if screen:
        wayland = bool(os.environ.get("WAYLAND_DISPLAY")) and not os.environ.get("DISPLAY")
        files.append(plugins / ("libqwayland.so" if wayland else "libqxcb.so"))
    missing: set[str] = set()
    for file in files:
        output = subprocess.run(["ldd", str(file)], capture_output=True, text=True).stdout
        missing |= {line.split("=>")[0].strip() for line in output.splitlines() if "not found" in line}
    return sorted(missing)


def has_fonts() -> bool:
    """Whether the system has any scalable font; without one Qt draws no text."""
    folders = [Path(folder).expanduser() for folder in FONT_FOLDERS]
    patterns = ("*.ttf", "*.otf", "*.ttc")
    return any(next(folder.rglob(pattern), None) for folder in folders if folder.is_dir() for pattern in patterns)


def apt_install(packages: list[str]) -> bool:
    """Install Debian packages where we are root and apt-get is there; whether that was done and went well."""
    if not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    print(f"Adding system packages: {' '.join(packages)} …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    with APT_LOG.open("a", encoding="utf-8") as out:
        for command in (install, ["apt-get", "update"], install):  # the lists may be there and fresh already
            code = subprocess.call(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
            if code == 0 and command is install:
                return True
    return False


def _advice(missing: list[str], packages: list[str]) -> str:
    names = ", ".join(missing)
    if shutil.which("apt-get"):
        return f"Qt needs {names}: run `sudo apt-get install {' '.join(packages)}` and start again."
    return f"Qt needs {names}: install the packages of your system that hold them and start again."
