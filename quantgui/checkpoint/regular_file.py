"""Opening files whose path a person or a model folder named: never blocks, and every failure is one clear sentence."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from quantgui.types import UserError

_REASONS = {
    errno.ENOENT: ("There is nothing at “{path}”.", "Check the path; the file may have been moved or deleted."),
    errno.ENOTDIR: ("There is nothing at “{path}”.", "A part of the path is a file, not a folder."),
    errno.EACCES: (
        "“{path}” may not be read by you.",
        "Change the permissions of the file or of the folder around it.",
    ),
    errno.EPERM: ("“{path}” may not be read by you.", "Change the permissions of the file or of the folder around it."),
    errno.ELOOP: ("“{path}” is a link that leads back to itself.", "Remove the link and pick the real file."),
    errno.ENAMETOOLONG: ("The path is too long for this system.", "Move the model into a folder with a shorter path."),
    errno.ENXIO: ("“{path}” is not a file.", "Pick a model file or a model folder."),  # a socket
}


def path_error(error: OSError | ValueError, path: Path | str) -> UserError:
    """The sentence for what the system said about `path`. A ValueError comes from a NUL character in it."""
    code = error.errno if isinstance(error, OSError) else None
    message, hint = _REASONS.get(
        code or 0, ("“{path}” cannot be read.", "Check the drive and the path, then try again.")
    )
    return UserError(message.format(path=str(path).replace("\0", "�")[:300]), hint=hint, details=str(error))


def absolute(path: Path) -> Path:
    """The absolute path without "..", its links kept: a file of the hub's cache is a link to a blob without a name."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve() follows links)


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file; False for names no system allows and for places that may not be looked into."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; links are followed.

    The type is checked on the open descriptor, and opening does not wait: a named pipe cannot hang the window.
    Raises UserError for everything that is not a readable regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise path_error(error, path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"“{path.name}” is not a file.", hint="Pick a model file or a model folder.")
    return os.fdopen(descriptor, "rb")


def file_size(stream: BinaryIO) -> int:
    """Bytes of an open regular file."""
    return os.fstat(stream.fileno()).st_size


def read_capped(path: Path, limit: int) -> bytes:
    """The whole file. Raises UserError where it is larger than `limit` bytes or cannot be read."""
    with open_regular(path) as stream:
        size = file_size(stream)
        if size > limit:
            raise UserError(
                f"“{path.name}” is {size / 1e6:,.0f} MB; such a file is never larger than {limit / 1e6:,.0f} MB.",
                hint="The file is damaged or not what its name says; download it again.",
            )
        try:
            return stream.read(limit)
        except OSError as error:
            raise path_error(error, path) from None
