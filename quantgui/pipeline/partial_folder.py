"""The folder beside the final place in which an output is written: there while the work goes well, gone when not."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from quantgui.jobs.job import WritesOutput


@contextlib.contextmanager
def partial_folder(job: WritesOutput) -> Iterator[Path]:
    """The job's new partial folder. After a failure it is removed, with the folders that were made to hold it."""
    partial = Path(job.partial_output)
    created = [folder for folder in partial.parents if not folder.exists()]
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in created:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
