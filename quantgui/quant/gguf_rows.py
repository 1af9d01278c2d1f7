"""GGUF's file types as rows that people choose: each is a mixture of tensor types for a whole file.

They stand apart from the schemes of single tensors: a rule inside a mixture names a tensor type ("Q6_K"), and which
tensor gets which type is llama.cpp's plan (`quant/gguf_assignment.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING

from quantgui.formats.gguf.blocks import FORMAT, GgmlBlocks
from quantgui.formats.gguf.file_types import FILE_TYPES, FileType
from quantgui.quant.method import Kind, Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme

if TYPE_CHECKING:
    import numpy as np
    import torch

METHOD_ID = "gguf"
RUNTIMES = ("llama.cpp", "Ollama", "LM Studio")
FLOAT_PREFIX = "GGUF-"
"""Before F32, F16 and BF16, which name safetensors dtypes too."""
TENSOR_TYPES = (
    *("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS"),
    *("MXFP4", "Q3_K", "IQ3_S", "IQ3_XXS", "Q2_K", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "TQ1_0", "IQ1_M", "IQ1_S"),
)
"""Types that a rule may give to a tensor, most bits first."""

_SIZES: Mapping[str, str] = {"_S": "small", "_M": "medium", "_L": "large"}
_SUMMARIES: Mapping[str, str] = {
    "F32": "Every weight as it was, in 4 bytes; for further conversion.",
    "F16": "Two bytes a weight; the usual file to make others from.",
    "BF16": "Two bytes a weight with the range of F32, as most models are trained.",
    "Q8_0": "Practically without loss, at half the size of 16 bits.",
    "Q6_K": "Hardly any loss.",
    "Q5_K": "Very little loss; the sensitive tensors get more bits.",
    "Q4_K": "The usual choice: little loss, and the sensitive tensors get more bits.",
    "Q3_K": "A noticeable loss; for models that would not fit otherwise.",
    "Q2_K": "A large loss; a smaller model with more bits is often better.",
    "Q5_1": "An older type; Q5_K loses less at the same size.",
    "Q5_0": "An older type; Q5_K loses less at the same size.",
    "Q4_1": "An older type; Q4_K loses less at the same size.",
    "Q4_0": "An older type, fast on phones and ARM; Q4_K loses less at the same size.",
    "IQ4_NL": "Sixteen levels that are closer together near zero.",
    "IQ4_XS": "As good as Q4_K_S and a little smaller; slower on a CPU.",
    "MXFP4": "Experts in 4-bit floats with a shared scale, as gpt-oss is published; the rest in Q8_0.",
    "TQ2_0": "For models trained with weights of -1, 0 and 1.",
    "TQ1_0": "For models trained with weights of -1, 0 and 1, packed tighter.",
}
_IQ_SUMMARY = "Better than the K types of its size with an importance matrix; slower to make and on a CPU."


@cache
def gguf_rows() -> tuple[SchemeRow, ...]:
    """One row per file type, most bits first."""
    ordered = sorted(FILE_TYPES.values(), key=lambda kind: -BY_NAME[kind.base].bits_per_weight)
    return tuple(_row(kind) for kind in ordered)


def row_id(file_type: FileType) -> str:
    """The id by which people choose a file type."""
    return file_type.name if file_type.is_quantized else FLOAT_PREFIX + file_type.name


def tensor_scheme(type_name: str) -> Scheme:
    """One tensor in one ggml type."""
    kind = BY_NAME[type_name]
    return Scheme(
        id=type_name,
        method=METHOD_ID,
        number="ggml",
        bits=round(kind.bits_per_weight),
        storage=GgmlBlocks(type_name),
        granularity=Granularity.GROUP,
        group_size=kind.block_elements,
        whole_model=True,
    )


def _row(kind: FileType) -> SchemeRow:
    base = BY_NAME[kind.base]
    size = _SIZES.get(kind.name[-2:], "") if "_K_" in kind.name else ""
    family = "blocks" if base.is_quantized else "floats"
    title = f"{base.bits_per_weight:.3g}-bit {family}" + (f", {size} mixture" if size else " of llama.cpp")
    return SchemeRow(
        id=row_id(kind),
        title=title,
        summary=_SUMMARIES.get(kind.base, _IQ_SUMMARY),
        bits=base.bits_per_weight,
        format=FORMAT,
        runtimes=RUNTIMES,
        make=partial(_make, kind),
        parameters=_parameters(kind),
    )


def _make(kind: FileType, **settings: ParameterValue) -> Scheme:
    """The scheme of the file's base type under the file type's id; the settings shape the plan, not the blocks."""
    base = tensor_scheme(kind.base)
    return Scheme(row_id(kind), base.method, base.number, base.bits, base.storage, base.granularity, base.group_size)


def _parameters(kind: FileType) -> tuple[Parameter, ...]:
    """Settings of llama-quantize; a file of plain floats has no mixture to change."""
    if not kind.is_quantized:
        return ()
    choices, titles = ("", *TENSOR_TYPES), ("as the mixture says", *TENSOR_TYPES)
    mixture = partial(Parameter, shapes_scheme=False)  # they decide between types, which are stored as always
    return (
        Parameter(
            "imatrix",
            "Importance matrix",
            "A file that says which inputs of each tensor matter most; lower bits need one.",
            "",
            shapes_scheme=False,
            is_file=True,
            empty="None",
        ),
        mixture("pure", "One type for all", "The same type for every matrix, without the mixture.", False),
        mixture("output_type", "Output head", "Type of the output head.", "", choices, titles, advanced=True),
        mixture("embedding_type", "Embedding", "Type of the embedding.", "", choices, titles, advanced=True),
        mixture(
            "leave_output", "Keep the output head", "The output head stays in the source's type.", False, advanced=True
        ),
    )


class GgmlArithmetic(RowArithmetic):
    """ggml's kernels, on the CPU."""

    def __init__(self, scheme: Scheme) -> None:
        assert isinstance(scheme.storage, GgmlBlocks)
        self._type = scheme.storage.type_name

    def quantize(
        self,
        rows: torch.Tensor,
        scale_dtype: torch.dtype | None = None,
        whole: ValueRange | None = None,
        first_row: int = 0,
        importance: np.ndarray | None = None,
    ) -> QuantizedRows:
        """The blocks of contiguous rows. `importance` float32 [columns] weighs each column's squared error."""
        import torch

        from quantgui.formats.gguf.kernels import quantize_rows

        return QuantizedRows(torch.from_numpy(quantize_rows(self._type, rows.numpy(), importance)))

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """What llama.cpp computes with."""
        import torch

        from quantgui.formats.gguf.kernels import dequantize_rows

        kind, codes = BY_NAME[self._type], quantized.codes
        columns = codes.shape[1] // kind.block_bytes * kind.block_elements
        return torch.from_numpy(dequantize_rows(self._type, codes.numpy(), columns))

    def levels(self, quantized: QuantizedRows) -> tuple[float, ...]:
        """The levels of a typical block, for types that have few."""
        from quantgui.formats.gguf.kernels.levels import block_levels

        return block_levels(self._type, quantized.codes.numpy())


@cache
def gguf_method() -> Method:
    """The rows as one method, for those who list them by kind."""
    return Method(METHOD_ID, "GGUF file types", gguf_rows(), GgmlArithmetic, Kind.GGUF)
