"""Statistics of a GGUF file's tensors: its blocks dequantized by llama.cpp's own kernels, alone or against an original.

The original may be the Hugging Face folder that the file was made from, whose tensors have other names and other
orders of rows, or another GGUF file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.source import tensors_of
from quantgui.formats.gguf.transform import Rows
from quantgui.formats.plain import FLOAT_DTYPES
from quantgui.inspection.accumulator import NotFiniteError, TensorRange, TensorStatistics
from quantgui.pipeline.gguf_rows import RowSource
from quantgui.pipeline.gguf_tensor import rows_range
from quantgui.pipeline.tensor_work import BLOCK_ELEMENTS, NOT_FINITE, report_of
from quantgui.quant.gguf_assignment import values_before
from quantgui.quant.gguf_rows import TENSOR_TYPES, tensor_scheme
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import Checkpoint, TensorInfo, TensorReport, UserError

if TYPE_CHECKING:
    import torch

NOT_IN_THE_ORIGINAL = "The original has no such tensor to compare with."


@dataclass(frozen=True)
class FilePair:
    """A tensor of the file, and the one of the original that it is compared with (None where there is none).

    `assignment.tensor` describes the values before; without an original those are the file's own.
    """

    assignment: Assignment
    stored: TensorInfo
    made: GgufTensor | None = None


def file_pairs(model: Checkpoint, original: Checkpoint | None) -> Iterator[FilePair]:
    """Every tensor of the GGUF file in the order in which they lie in it.

    Raises UserError where it has no tensor or another shape in common with the original, and for an original whose
    tensors have no place in GGUF.
    """
    scheme = cache(tensor_scheme)
    if original is None:
        for tensor in model.tensors:
            yield FilePair(Assignment(tensor, scheme(tensor.dtype)), tensor)
        return
    made = {tensor.name: tensor for tensor in tensors_of(original)}
    if made.keys().isdisjoint(tensor.name for tensor in model.tensors):
        raise UserError(
            f"“{model.name}” and “{original.name}” have no tensors in common.",
            hint="Compare a file with the model it was made from.",
        )
    sources = {tensor.name: tensor for tensor in original.tensors}
    for tensor in model.tensors:
        counterpart = made.get(tensor.name)
        if counterpart is None:
            yield FilePair(Assignment(tensor, scheme(tensor.dtype), NOT_IN_THE_ORIGINAL), tensor)
            continue
        if (counterpart.shape or (1,)) != (tensor.shape or (1,)):
            raise UserError(f"The tensor {tensor.name} has another shape in the original.")
        yield FilePair(Assignment(values_before(counterpart, sources), scheme(tensor.dtype)), tensor, counterpart)


class FileReporter:
    """Reports the tensors of a GGUF file while its data, and that of the original, are open."""

    def __init__(self, model: TensorData, original: TensorData | None, pool: Executor) -> None:
        import torch

        torch.set_num_threads(1)  # blocks are measured in threads of their own
        self._pool = pool
        self._file = RowSource(model.checkpoint, model)
        self._original = RowSource(original.checkpoint, original) if original is not None else None
        self._data = model

    def report(self, pair: FilePair) -> TensorReport:
        """Sizes, place and distribution of one tensor; its errors where there is an original of it."""
        return replace(self._measured(pair), offset=pair.stored.offset)

    def _measured(self, pair: FilePair) -> TensorReport:
        assignment, stored = pair.assignment, pair.stored
        if not stored.numel or not (_is_measurable(stored.dtype) and _is_measurable(assignment.tensor.dtype)):
            return report_of(assignment, None, compared=False)
        written = self._file.rows(GgufTensor(stored.name, stored.shape, (stored.name,)))
        try:
            if pair.made is None or self._original is None:
                statistics = self._alone(written, stored.name)
            else:
                statistics = self._compared(self._original.rows(pair.made), written, stored.name)
        except NotFiniteError:
            return report_of(replace(assignment, why=NOT_FINITE), None, compared=False)
        return report_of(assignment, statistics, self._levels(stored), compared=pair.made is not None)

    def _alone(self, written: Rows, name: str) -> TensorStatistics:
        whole = rows_range(written, name, self._pool)

        def one(block: tuple[int, torch.Tensor]) -> TensorStatistics:
            part = TensorStatistics(whole)
            part.add_original(written.values(block[1]))
            return part

        return self._merged(whole, written, one)

    def _compared(self, original: Rows, written: Rows, name: str) -> TensorStatistics:
        whole = rows_range(original, name, self._pool)

        def one(block: tuple[int, torch.Tensor]) -> TensorStatistics:
            first, stored = block
            before = original.values(stored)
            after = written.slice(first, len(before))
            TensorRange().add(after, name)
            part = TensorStatistics(whole)
            part.add_pair(before, after)
            return part

        return self._merged(whole, original, one)

    def _merged(
        self, whole: TensorRange, rows: Rows, one: Callable[[tuple[int, torch.Tensor]], TensorStatistics]
    ) -> TensorStatistics:
        total = TensorStatistics(whole)
        for part in self._pool.map(one, rows.blocks(BLOCK_ELEMENTS)):
            total.merge(part)
        return total

    def _levels(self, stored: TensorInfo) -> tuple[float, ...]:
        """The levels of a typical block among the first rows, as the conversion reports them."""
        from quantgui.formats.gguf.kernels.levels import block_levels

        kind = BY_NAME[stored.dtype]
        if not kind.is_quantized:
            return ()
        blocks = self._data.stored_bytes(stored).view(-1, kind.nbytes(stored.shape[-1])).numpy()
        return block_levels(kind.name, blocks[: max(1, BLOCK_ELEMENTS // stored.shape[-1])])


def _is_measurable(dtype: str) -> bool:
    """Whether the type holds weights: integers and ggml's types for activations do not."""
    return dtype in FLOAT_DTYPES or dtype in TENSOR_TYPES
