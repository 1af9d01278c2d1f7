"""What a file is, told from its first bytes: its name may lie."""

from __future__ import annotations

from enum import StrEnum

from quantgui.checkpoint.limits import MAX_SAFETENSORS_HEADER

HEAD_BYTES = 64


class FileKind(StrEnum):
    """Files that a person may try to open as a model."""

    SAFETENSORS = "safetensors"
    GGUF = "GGUF"
    TORCH = "PyTorch"
    JSON = "JSON"
    OTHER = "other"


_NOT_MODELS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "is a Git LFS pointer: the place of the model, not the model itself",
        "Run “git lfs pull” in its folder, or download the file from the model's page.",
    ),
    (
        b"<!doctype html",
        "is a web page, saved in place of the model",
        "Download the file again; you may have to log in.",
    ),
    (b"<html", "is a web page, saved in place of the model", "Log in there and download it again."),
    (b"\x89hdf", "is an HDF5 file (Keras), which cannot be read", "Look for a safetensors version of the model."),
    (b"\x93numpy", "is a NumPy array, not a model", "Pick a model file or a model folder."),
    (b"lmgg", "is a GGML file, the predecessor of GGUF", "Look for a GGUF version of the model."),
    (b"fmgg", "is a GGML file, the predecessor of GGUF", "Look for a GGUF version of the model."),
    (b"tjgg", "is a GGML file, the predecessor of GGUF", "Look for a GGUF version of the model."),
    (b"7z\xbc\xaf", "is a packed archive", "Unpack it first."),
    (b"\x1f\x8b", "is a packed archive", "Unpack it first."),
)
"""First bytes (lower case), what the file is, what to do."""


def kind_of(head: bytes) -> FileKind:
    """The kind of a file that starts with `head` (at least 9 bytes where the file has them)."""
    if head.startswith(b"GGUF"):
        return FileKind.GGUF
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_SAFETENSORS_HEADER:
        return FileKind.SAFETENSORS
    # A zip archive, or a pickle of protocol 2 to 5: how torch.save writes now and wrote before version 1.6.
    if head.startswith(b"PK\x03\x04") or (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"):
        return FileKind.TORCH
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return FileKind.JSON
    return FileKind.OTHER


def what_else(head: bytes) -> tuple[str, str] | None:
    """For a well-known file that is no model: what it is, as a clause, and what to do about it."""
    start = head.lstrip(b" \t\r\n").lower()
    return next(((what, hint) for magic, what, hint in _NOT_MODELS if start.startswith(magic)), None)
