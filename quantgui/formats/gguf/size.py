"""How large a GGUF file becomes, before it exists: tensor data exactly, keys and tokenizer exactly or estimated."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from quantgui.formats.gguf.file_types import FILE_TYPES
from quantgui.formats.gguf.mixtures import ModelFacts
from quantgui.formats.gguf.names import GgufTensor, gguf_tensors, layout_of
from quantgui.formats.gguf.tokenizer_size import TokenizerSize, tokenizer_size
from quantgui.formats.gguf.type_plan import PlanOptions, plan_types
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import Checkpoint

ALIGNMENT = 32
"""GGUF's default: the data begins, and each tensor in it, at a multiple of this many bytes."""
FIXED_HEADER = 4 + 4 + 8 + 8
"""Magic, version, number of tensors, number of keys."""
MODEL_KEYS_BYTES = 2_000
"""Keys beside the tokenizer's lists: names and sizes of the model, licence, special tokens. Estimated, ± 1 kB."""


def padded(nbytes: int) -> int:
    """Rounded up to the alignment."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


@lru_cache(maxsize=2**12)
def tensor_nbytes(shape: tuple[int, ...], type_name: str) -> int:
    """Bytes of one tensor, without padding. Rows must fill whole blocks; raises ValueError where they do not."""
    *rows, row = shape or (1,)  # ggml stores a scalar as one element
    return math.prod(rows) * BY_NAME[type_name].nbytes(row)


def padded_sizes(tensors: Iterable[GgufTensor], types: Iterable[str]) -> tuple[int, ...]:
    """Bytes of each tensor in the data section, padded to the alignment."""
    return tuple(padded(tensor_nbytes(tensor.shape, name)) for tensor, name in zip(tensors, types, strict=True))


def tensor_infos_nbytes(tensors: Iterable[GgufTensor]) -> int:
    """Bytes of the header's tensor list: name with its length, dimensions, type, offset."""
    return sum(8 + len(tensor.name.encode()) + 4 + 8 * len(tensor.shape) + 4 + 8 for tensor in tensors)


def header_nbytes(tensors: Iterable[GgufTensor], tokenizer: TokenizerSize) -> int:
    """Bytes before the data: all of the header, padded."""
    return padded(FIXED_HEADER + MODEL_KEYS_BYTES + tokenizer.nbytes + tensor_infos_nbytes(tensors))


def model_facts(checkpoint: Checkpoint, tensors: Iterable[GgufTensor]) -> ModelFacts:
    """What the type plan asks about a model. Raises UserError for an unknown architecture."""
    config, named = checkpoint.config, list(tensors)
    layout = layout_of(config)
    assert config is not None  # layout_of refuses a checkpoint without one
    kv_heads = config.num_kv_heads or config.num_heads or 0
    if layout.kv_heads_by_layer and all(tensor.name != "blk.0.attn_k.weight" for tensor in named):
        kv_heads = 0  # llama.cpp asks the first layer
    return ModelFacts(
        architecture=layout.architecture,
        layers=1 + max((tensor.layer for tensor in named if tensor.layer is not None), default=-1),
        heads=config.num_heads or 0,
        kv_heads=kv_heads,
        experts=max((tensor.shape[0] for tensor in named if tensor.name.endswith("_exps.weight")), default=0),
    )


@dataclass(frozen=True, slots=True)
class GgufRow:
    """One file type: bytes of each tensor, padded, in the file's order, and of the whole file."""

    name: str
    tensor_bytes: tuple[int, ...]
    file_bytes: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data section."""
        return sum(self.tensor_bytes)


def planned_rows(
    checkpoint: Checkpoint, imatrix: bool = False, fused_apart: bool = False
) -> tuple[tuple[GgufTensor, ...], tuple[GgufRow, ...]]:
    """The tensors of the GGUF file, and their sizes under every file type, largest first.

    Tensor data is exactly what `llama-quantize` writes today, with `fused_apart` what it wrote into 2026, which
    differs in models with fused query, key and value. The rest of the file is exact but for `MODEL_KEYS_BYTES` and,
    where no tokenizer.json lies beside the checkpoint, for the tokenizer. Raises UserError where llama.cpp's names for
    this architecture or for one of its tensors are not known.
    """
    tensors = gguf_tensors(checkpoint)
    facts, options = model_facts(checkpoint, tensors), PlanOptions(imatrix=imatrix, fused_apart=fused_apart)
    header = header_nbytes(tensors, tokenizer_size(checkpoint))
    rows = []
    for name, file_type in FILE_TYPES.items():
        sizes = padded_sizes(tensors, plan_types(tensors, facts, file_type, options))
        rows.append(GgufRow(name, sizes, header + sum(sizes)))
    return tensors, tuple(sorted(rows, key=lambda row: -row.nbytes))


def gguf_rows(
    checkpoint: Checkpoint, imatrix: bool = False, fused_apart: bool = False
) -> tuple[tuple[str, int, int], ...]:
    """(file type, bytes of tensor data, bytes of the file) of `planned_rows`. Raises UserError as it does."""
    _, rows = planned_rows(checkpoint, imatrix, fused_apart)
    return tuple((row.name, row.nbytes, row.file_bytes) for row in rows)
