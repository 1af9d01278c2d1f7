"""The one failure that is not the end: a file that only the child process may open."""

from __future__ import annotations

from quantgui.types import UserError


class ChildNeeded(UserError):  # noqa: N818 (it is a request, and the word is what callers read)
    """A pickled PyTorch file: reading it needs torch, so a `ReadJob` in the child does it.

    `path` is the file or folder to give to the job.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            f"“{path}” holds pickled PyTorch weights, which a separate process reads.",
            hint="Nothing to do: the application starts that process by itself.",
        )
        self.path = path
