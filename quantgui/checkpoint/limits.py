"""How much an untrusted file may ask of us. Real checkpoints stay far below; hostile ones are refused in time."""

from __future__ import annotations

from quantgui.types import UserError

MAX_SAFETENSORS_HEADER = 100_000_000
"""Bytes of JSON; the cap of the reference implementation."""

MAX_CONFIG_BYTES = 16 * 2**20
MAX_INDEX_BYTES = 64 * 2**20

MAX_TENSORS = 100_000
"""Tensors in one file. The largest models have about 140,000 in all, over more than 50 files."""

MAX_NAME = 512
"""Characters of a tensor name. ggml allows 64; nested modules of transformers reach about 150."""

MAX_DIMENSIONS = 64
"""As torch."""

MAX_ELEMENTS = 2**60
"""Elements or bytes of one tensor; beyond it 64-bit arithmetic elsewhere would overflow."""


def check_name(name: str, file: str) -> str:
    """`name` if it can be shown and sent on as it is. Raises UserError for control characters and endless names."""
    if len(name) > MAX_NAME:
        raise UserError(
            f"“{file}” holds a tensor whose name is {len(name):,} characters long.",
            hint="The header is damaged or hostile; download the file again.",
            details=name[:200],
        )
    if not name.isprintable():
        raise UserError(
            f"“{file}” holds a tensor whose name contains unprintable characters.",
            hint="The header is damaged or hostile; download the file again.",
            details=ascii(name),
        )
    return name
