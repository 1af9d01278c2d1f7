"""A Scheme says how one tensor becomes numbers of fewer bits, and how many bytes that takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from quantgui.schemes.parameters import ParameterValue
from quantgui.schemes.quantized_rows import EncodedPart, QuantizedRows
from quantgui.types import ModelConfig, TensorInfo

if TYPE_CHECKING:
    import torch

DTYPE_BYTES: Mapping[str, int] = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes per element of the safetensors dtypes."""


class Granularity(StrEnum):
    """How many weights share one scale."""

    TENSOR = "tensor"
    CHANNEL = "channel"  # one per output row
    GROUP = "group"  # one per `group_size` consecutive inputs of an output row
    BLOCK = "block"  # one per square of `group_size` output rows and as many inputs


@dataclass(frozen=True, slots=True)
class Activations:
    """How the inputs of a layer are quantized while the model runs, symmetric around zero.

    Dynamic: a scale per token, found at run time (per token and `group_size` channels where given). Static: one scale
    per layer, found by calibration and stored as `input_scale`.
    """

    number: str  # "int" or "float"
    bits: int = 8
    dynamic: bool = True
    group_size: int | None = None


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One output tensor. `suffix` replaces the name's last part ("weight" -> "weight_packed"); "" keeps it."""

    suffix: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def element_bytes(self) -> int:
        """Bytes per element."""
        return DTYPE_BYTES[self.dtype]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * self.element_bytes

    def name_for(self, tensor_name: str) -> str:
        """The stored name for the weight `tensor_name`."""
        if not self.suffix:
            return tensor_name
        module, _, _ = tensor_name.rpartition(".")
        return f"{module}.{self.suffix}" if module else self.suffix


class Storage(Protocol):
    """How a format lays a quantized tensor out. Implemented once per layout in `quantgui.formats`."""

    @property
    def format(self) -> str:
        """Id of the format module in `quantgui.formats` that writes it."""
        ...

    def parts(self, scheme: Scheme, shape: tuple[int, ...], dtype: str) -> tuple[StoredPart, ...]:
        """The tensors that hold a weight of this shape; `dtype` is the source's and names the scales' dtype."""
        ...

    def objection(self, scheme: Scheme, tensor: TensorInfo, config: ModelConfig | None) -> str:
        """Why this tensor cannot be held in this layout, one sentence; "" where it can."""
        ...

    def encode(
        self, scheme: Scheme, quantized: QuantizedRows, first_row: int, shape: tuple[int, ...], dtype: str
    ) -> list[EncodedPart]:
        """The bytes of some rows of a weight of `shape`, each with its place in its part.

        `first_row` is a multiple of 32; `dtype` is the source's.
        """
        ...

    def decode(self, scheme: Scheme, stored: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> QuantizedRows:
        """All rows again from the stored parts by suffix; the inverse of `encode`."""
        ...


@dataclass(frozen=True, slots=True)
class Scheme:
    """How weights are represented: number kind, bits, granularity, symmetry, and the storage that holds them.

    Equal schemes are equal values; `id` is the registry row it was built from ("INT4").
    """

    id: str
    method: str  # module in quantgui.quant.methods that computes it
    number: str  # "int", "float" (a small float with scales), "codebook" or "cast" (a plain float dtype)
    bits: int
    storage: Storage = field(compare=False, repr=False)
    granularity: Granularity = Granularity.GROUP
    group_size: int | None = None
    symmetric: bool = True
    whole_model: bool = False  # a cast also covers embeddings, head and norms
    activations: Activations | None = None  # None: they stay in the model's dtype
    act_order: bool = False  # groups are formed of the columns in another order, which is stored
    settings: tuple[tuple[str, ParameterValue], ...] = field(default=(), compare=False)
    """The method's own settings, which decide about the codes but not about how they are stored."""

    def parts(self, shape: tuple[int, ...], dtype: str = "BF16") -> tuple[StoredPart, ...]:
        """The stored tensors of a weight of `shape` whose source dtype is `dtype`."""
        return self.storage.parts(self, shape, dtype)

    def nbytes(self, shape: tuple[int, ...], dtype: str = "BF16") -> int:
        """Bytes a weight of `shape` takes in the file and in memory, scales included.

        The project's only size formula: estimator, preflight and writers all ask here.
        """
        return sum(part.nbytes for part in self.parts(shape, dtype))

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Shape [rows, groups] of the scales of a weight [rows, columns].

        Raises ValueError where the group size does not divide the columns.
        """
        rows, columns = shape
        if self.granularity is Granularity.TENSOR:
            return (1, 1)
        if self.granularity is Granularity.CHANNEL:
            return (rows, 1)
        if not self.group_size or columns % self.group_size:
            raise ValueError(f"group size {self.group_size} does not divide {columns} input columns")
        if self.granularity is Granularity.BLOCK:
            return (math.ceil(rows / self.group_size), columns // self.group_size)
        return (rows, columns // self.group_size)
