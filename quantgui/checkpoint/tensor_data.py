"""Tensor data in the child: rows of a tensor as torch views on memory-mapped files, nothing copied until it is used."""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from quantgui.types import Checkpoint, SourceKind, TensorInfo, UserError

if TYPE_CHECKING:
    import torch

MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
"""Python names it from 3.13 on; the number is that of Linux on x86 and ARM."""
MIN_ROW_MULTIPLE = 32
"""Row blocks are multiples of this, so that codes packed along the rows into 32-bit words start at whole words."""


_TORCH_NAMES: Mapping[str, str] = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
READABLE_DTYPES = frozenset(_TORCH_NAMES)
"""Safetensors dtypes whose tensors can be read."""


def torch_dtype(name: str) -> torch.dtype:
    """The torch dtype of a safetensors dtype name. Raises UserError for one that torch cannot hold."""
    import torch

    if name not in _TORCH_NAMES:
        raise UserError(f"Tensors of type {name} cannot be read yet.")
    return getattr(torch, _TORCH_NAMES[name])


class TensorData:
    """Reads the tensors of one checkpoint. Use as a context manager: it holds the mapped files open."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        if checkpoint.kind is SourceKind.CONFIG:
            raise UserError(
                f"“{checkpoint.name}” has no weights on this machine, only its shapes are known.",
                hint="Download the model and open its folder.",
            )
        self.checkpoint = checkpoint
        path = Path(checkpoint.path)
        self._root = path if path.is_dir() else path.parent
        self._maps: dict[str, mmap.mmap] = {}

    def __enter__(self) -> TensorData:
        return self

    def __exit__(self, *_: object) -> None:
        self._maps.clear()  # views may still refer to the mappings; they close with the last view

    def release(self, file: str) -> None:
        """Forgets the mapping of one file; it is unmapped with its last view."""
        self._maps.pop(file, None)

    def tensor(self, info: TensorInfo) -> torch.Tensor:
        """The whole tensor in its stored dtype and shape: a view on the file for safetensors."""
        if self.checkpoint.kind is SourceKind.TORCH:
            return self._pickled[info.name]
        import torch

        if info.numel == 0:
            return torch.empty(info.shape, dtype=torch_dtype(info.dtype))
        raw = self.stored_bytes(info)
        # A data section that starts at an odd offset cannot be viewed as wider elements; such files are rare.
        aligned = raw if info.offset % 8 == 0 else raw.clone()
        return aligned.view(torch_dtype(info.dtype)).view(info.shape)

    def stored_bytes(self, info: TensorInfo) -> torch.Tensor:
        """The bytes of a tensor that holds any, as they lie in the mapped file: uint8 [n]."""
        import torch

        return torch.frombuffer(self._mapped(info.file), dtype=torch.uint8, count=info.nbytes, offset=info.offset)

    def _mapped(self, file: str) -> mmap.mmap:
        if file not in self._maps:
            with (self._root / file).open("rb") as stream:
                try:
                    self._maps[file] = _private_map(stream.fileno())
                except OSError as error:
                    raise UserError(
                        f"The file {file} cannot be mapped into memory.",
                        hint="Close other programs, or allow this one more memory (ulimit -v, the page file).",
                        details=str(error),
                    ) from error
        return self._maps[file]

    @cached_property
    def _pickled(self) -> dict[str, torch.Tensor]:
        from quantgui.checkpoint.torch_file import load_torch_tensors

        return load_torch_tensors(Path(self.checkpoint.path))


def _private_map(descriptor: int) -> mmap.mmap:
    """A private mapping is writable in name only: torch wants that, and next to nothing is ever written.

    Linux would reserve memory for all of it, and refuse files larger than what there is; it is told not to.
    """
    if sys.platform == "linux":
        flags = mmap.MAP_PRIVATE | MAP_NORESERVE
        return mmap.mmap(descriptor, 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)


def row_blocks(
    tensor: torch.Tensor, elements: int = 1 << 21, row_multiple: int = 1
) -> Iterator[tuple[int, torch.Tensor]]:
    """(first row, rows [n, columns]) blocks of about `elements` elements, beginning at multiples of `row_multiple`.

    A vector is one row; a 3-D stack is flattened to [rows of all, columns].
    """
    matrix = tensor.reshape(1, -1) if tensor.ndim < 2 else tensor.reshape(-1, tensor.shape[-1])
    if matrix.numel() == 0:
        return
    multiple = math.lcm(MIN_ROW_MULTIPLE, row_multiple)
    per_block = max(multiple, elements // matrix.shape[1] // multiple * multiple)
    for first in range(0, matrix.shape[0], per_block):
        yield first, matrix[first : first + per_block]
