"""`python -m quantgui`: the window, the command line, or (`--worker`) the child process of either."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Dispatches by the first argument; returns the exit code. A frozen build has this one entry point."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--worker"]:
        from quantgui.worker import main as work

        return work()
    if not given:
        from quantgui.gui.application import main as show

        return show([])
    from quantgui.cli.main import main as command

    return command(given)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # while still importing; the verbs clean up by themselves
        sys.exit(130)
