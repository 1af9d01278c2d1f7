"""The real window driven without a display: opens the bundled model, quantizes it, and takes pictures of the pages."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before Qt is loaded

from PySide6.QtCore import QEvent, QEventLoop

from quantgui.gui.application import build
from quantgui.jobs.events import Cancelled, Failed, Finished, QuantizeResult
from quantgui.report.findings import worst
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import UserError

OPEN_SECONDS = 30
RUN_SECONDS = 600
SETTLE_SECONDS = 0.4  # plots redraw on a timer


class Showcase:
    """A window on the bundled model, with a home of its own so that nobody's settings are read or changed.

    Runs without an output folder go below the home; it is removed with the window.
    """

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="quantgui-")
        self.app, self.window, self.state = build(Path(self._home.name))
        self.window.show()
        self.state.restore()

    def __enter__(self) -> Showcase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state.cancel_run()
        self.state.close()
        self.window.deleteLater()
        self.app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        self._home.cleanup()

    @property
    def pages(self) -> list[str]:
        """Ids of the window's pages in the order of its rail."""
        return list(self.window.pages)

    def open_demo(self) -> None:
        """Wait until the bundled model is open, this machine is known and the estimates are there."""
        state = self.state
        self.wait(
            lambda: bool(state.estimates) or state.checkpoint_error is not None, OPEN_SECONDS, "the bundled model"
        )
        if state.checkpoint_error is not None:
            raise state.checkpoint_error

    def quantize(self, scheme_id: str, output: Path | None = None) -> QuantizeResult:
        """Run the recipe of one precision into `output` and wait for its end. Raises UserError where it fails."""
        self.state.set_recipe(Recipe(SchemeSpec(scheme_id)))
        self.state.start_quantize(str(output or ""), overwrite=True)
        self.wait(lambda: not self.state.is_running, RUN_SECONDS, "the run")
        run = self.state.run
        match run.outcome if run is not None else None:
            case Finished(quantized=QuantizeResult() as result):
                lowest = worst(run.reports.values(), 1) if run is not None else []
                self.state.select_tensor(lowest[0].name if lowest else None)
                return result
            case Failed(message=message, hint=hint, details=details):
                raise UserError(message, hint=hint, details=details)
            case Cancelled() | Finished() | None:
                raise UserError("The run ended without a result.")

    def shot(self, page: str, path: Path, *, theme: str = "light", width: int = 1280, height: int = 800) -> Path:
        """A picture of the whole window with `page` at this size and theme."""
        self.state.change_settings(theme=theme)
        self.window.resize(width, height)
        self.window.show_page(page)
        self.settle(SETTLE_SECONDS)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.window.grab_page(page).save(str(path)):
            raise UserError(f"{path} could not be written.")
        return path

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Let the window work until `condition` holds. Raises UserError after `seconds`."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise UserError(f"Waited {seconds:.0f} s for {what}.")
            self.settle(0.02)

    def settle(self, seconds: float) -> None:
        """Let the window work for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.app.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
            time.sleep(0.005)
