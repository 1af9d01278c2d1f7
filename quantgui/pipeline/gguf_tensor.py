"""One tensor of a GGUF file: two passes over its rows, the first for the range, the second for blocks and errors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from quantgui.formats.gguf.packed_blocks import PackedBlocks
from quantgui.formats.gguf.transform import Rows
from quantgui.inspection.accumulator import NotFiniteError, TensorRange, TensorStatistics
from quantgui.pipeline.tensor_work import BLOCK_ELEMENTS, Advance, report_of
from quantgui.quant.gguf_rows import GgmlArithmetic
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.types import TensorReport

if TYPE_CHECKING:
    import numpy as np
    import torch

Write = Callable[[str, int, "torch.Tensor"], None]
DAMAGED = "The checkpoint is damaged or its training diverged. Download it again."


def write_gguf_tensor(
    assignment: Assignment,
    rows: Rows,
    importance: np.ndarray | None,
    pool: Executor,
    write: Write,
    advance: Advance,
) -> TensorReport:
    """Quantizes the rows block by block, writes them, and reports sizes and errors.

    `importance` float32 [experts, columns] weighs each column's error; a plain matrix counts as one expert.
    Raises NotFiniteError for values that are not, UserError for weights too large for the type.
    """
    info, scheme = assignment.tensor, assignment.scheme
    assert scheme is not None
    method = GgmlArithmetic(scheme)
    whole = rows_range(rows, info.name, pool)
    per_expert = info.shape[-2] if len(info.shape) > 2 else None

    def quantize(stored: torch.Tensor | PackedBlocks, values: torch.Tensor, first: int) -> QuantizedRows:
        if scheme.id in (rows.type_name, rows.number_type):  # its bytes already: copied, as llama-quantize does
            return QuantizedRows(rows.stored(stored))
        expert = first // per_expert if per_expert else 0
        return method.quantize(values, importance=None if importance is None else importance[expert])

    def one(block: tuple[int, torch.Tensor | PackedBlocks]) -> tuple[TensorStatistics, tuple[float, ...]]:
        first, stored = block
        values = rows.values(stored)
        quantized = quantize(stored, values, first)
        (part,) = scheme.storage.encode(scheme, quantized, first, info.shape, info.dtype)
        write(info.name, part.offset, part.data)
        statistics = TensorStatistics(whole)
        statistics.add_pair(values, method.dequantize(quantized))
        advance(stored.numel() * stored.element_size())
        return statistics, method.levels(quantized) if first == 0 else ()

    total = TensorStatistics(whole)
    levels: tuple[float, ...] = ()
    for statistics, some_levels in pool.map(one, rows.blocks(BLOCK_ELEMENTS)):
        total.merge(statistics)
        levels = levels or some_levels
    return report_of(assignment, total, levels)


def rows_range(rows: Rows, name: str, pool: Executor) -> TensorRange:
    """Smallest and largest value. Raises NotFiniteError where one is not finite, which no type of a rule would help."""

    def one(block: tuple[int, torch.Tensor | PackedBlocks]) -> TensorRange:
        part = TensorRange()
        try:
            part.add(rows.values(block[1]), name)
        except NotFiniteError as error:
            raise NotFiniteError(error.message, hint=DAMAGED) from error
        return part

    whole = TensorRange()
    for part in pool.map(one, rows.blocks(BLOCK_ELEMENTS)):
        whole.low, whole.high = min(whole.low, part.low), max(whole.high, part.high)
    return whole
