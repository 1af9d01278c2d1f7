"""Where this person's settings, cache, logs and outputs live, per platform. QUANTGUI_HOME moves them all together."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "QUANTGUI_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The four folders that window and command line write to."""

    config: Path
    cache: Path
    logs: Path
    outputs: Path

    @property
    def settings_file(self) -> Path:
        """What the person chose on the Settings page."""
        return self.config / "settings.json"

    @property
    def session_file(self) -> Path:
        """What was open, and how the window was arranged."""
        return self.config / "session.json"

    @property
    def corrections_file(self) -> Path:
        """What real runs taught the estimates."""
        return self.config / "corrections.json"

    @property
    def times_file(self) -> Path:
        """How long runs took here."""
        return self.config / "times.json"

    @property
    def log_file(self) -> Path:
        """The newest log file; older ones stand beside it with a number."""
        return self.logs / "quantgui.log"

    @classmethod
    def below(cls, folder: Path) -> Home:
        """All four folders below one, as tests and portable installations want them."""
        return cls(folder / "config", folder / "cache", folder / "logs", folder / "outputs")


def find_home(override: str | os.PathLike[str] | None = None) -> Home:
    """The folders below `override`, below $QUANTGUI_HOME, or at the platform's customary places."""
    chosen = override or os.environ.get(VARIABLE)
    if chosen:
        return Home.below(Path(chosen).expanduser().absolute())
    user = Path.home()
    outputs = user / "QuantGUI"
    if sys.platform == "darwin":
        library = user / "Library"
        support = library / "Application Support" / "QuantGUI"
        return Home(support, library / "Caches" / "QuantGUI", library / "Logs" / "QuantGUI", outputs)
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA") or user / "AppData" / "Local") / "QuantGUI"
        roaming = Path(os.environ.get("APPDATA") or user / "AppData" / "Roaming") / "QuantGUI"
        return Home(roaming, local / "Cache", local / "Logs", outputs)
    return Home(
        _xdg("XDG_CONFIG_HOME", user / ".config"),
        _xdg("XDG_CACHE_HOME", user / ".cache"),
        _xdg("XDG_STATE_HOME", user / ".local" / "state"),
        outputs,
    )


def _xdg(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default) / "quantgui"
