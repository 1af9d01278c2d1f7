"""One tensor: two passes over blocks of rows, the first for its range, the second for codes, bytes and statistics."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from quantgui.checkpoint.tensor_data import row_blocks, torch_dtype
from quantgui.formats.plain import FLOAT_DTYPES
from quantgui.inspection.accumulator import NotFiniteError, TensorRange, TensorStatistics
from quantgui.quant.method import RowArithmetic, ValueRange
from quantgui.quant.registry import arithmetic
from quantgui.schemes.assignment import Assignment
from quantgui.types import TensorInfo, TensorReport

if TYPE_CHECKING:
    import torch

BLOCK_ELEMENTS = 1 << 18
"""1 MiB of float32: a block and its temporaries stay in a core's cache, which is worth a factor of three."""

COPY_ELEMENTS = 1 << 20
"""Elements of a kept tensor that are copied at once."""

NOT_FINITE = "It holds values that are not finite, so there are no statistics."
"""Why a tensor that is only measured has none."""

Write = Callable[[str, int, "torch.Tensor"], None]
Advance = Callable[[int], None]


def measure_range(tensor: torch.Tensor, name: str, pool: Executor, method: RowArithmetic | None = None) -> TensorRange:
    """First pass: smallest and largest value, and the method's own survey where it makes one.

    Raises NotFiniteError where a value is not finite.
    """
    surveying = method is not None and method.surveys

    def one(block: tuple[int, torch.Tensor]) -> tuple[TensorRange, object]:
        rows = block[1].float()
        part = TensorRange()
        part.add(rows, name)
        return part, method.survey(rows) if method is not None and surveying else None

    whole = TensorRange()
    surveys = []
    for part, survey in pool.map(one, row_blocks(tensor, BLOCK_ELEMENTS)):
        whole.low, whole.high = min(whole.low, part.low), max(whole.high, part.high)
        surveys.append(survey)
    if method is not None and surveying:
        method.conclude(surveys)
    return whole


def keep_tensor(
    assignment: Assignment, tensor: torch.Tensor, pool: Executor, write: Write, advance: Advance
) -> TensorReport:
    """Copies the tensor's bytes unchanged and reports its distribution (floats only)."""
    info = assignment.tensor
    statistics = _original_statistics(info, tensor, pool)
    flat, size = tensor.reshape(-1), tensor.element_size()
    for first in range(0, tensor.numel(), COPY_ELEMENTS):
        some = flat[first : first + COPY_ELEMENTS]
        write(info.name, first * size, some)
        advance(some.numel() * size)
    return report_of(assignment, statistics)


def _original_statistics(info: TensorInfo, tensor: torch.Tensor, pool: Executor) -> TensorStatistics | None:
    """Statistics of a kept float tensor; None for integers, empty tensors and values that are not finite."""
    if info.dtype not in FLOAT_DTYPES or not info.numel:
        return None
    try:
        whole = measure_range(tensor, info.name, pool)
    except NotFiniteError:
        return None  # a kept tensor passes through as it is

    def one(block: tuple[int, torch.Tensor]) -> TensorStatistics:
        part = TensorStatistics(whole)
        part.add_original(block[1].float())
        return part

    total = TensorStatistics(whole)
    for part in pool.map(one, row_blocks(tensor, BLOCK_ELEMENTS)):
        total.merge(part)
    return total


def quantize_tensor(
    assignment: Assignment,
    tensor: torch.Tensor,
    device: torch.device,
    pool: Executor,
    write: Write,
    advance: Advance,
    weights: torch.Tensor | None = None,
    method: RowArithmetic | None = None,
) -> TensorReport:
    """Quantizes block by block on `device`, writes the stored parts, reports sizes and errors against `tensor`.

    `weights`, float32 of the same shape, are quantized in its place where a training has changed them. `method`
    stands in for the scheme's own arithmetic where calibration has found the codes.
    Raises NotFiniteError for values that are not; writing again after a failure is harmless.
    """
    info, scheme = assignment.tensor, assignment.scheme
    assert scheme is not None
    method = method or arithmetic(scheme)
    whole = measure_range(tensor, info.name, pool, method)
    scale_dtype = torch_dtype(info.dtype)
    names = {part.suffix: part.name_for(info.name) for part in assignment.parts()}
    value_range = ValueRange(whole.low, whole.high)
    # Storage offsets count rows of the flattened matrix; a vector is one row.
    shape = info.shape if len(info.shape) > 1 else (1, info.numel)

    def one(block: tuple[int, torch.Tensor]) -> tuple[TensorStatistics, tuple[float, ...]]:
        first, stored = block
        rows = stored.to(device).float()
        chosen = rows if weights is None else weights[first : first + len(rows)].to(device)
        quantized = method.quantize(chosen, scale_dtype, value_range, first)
        for part in scheme.storage.encode(scheme, quantized, first, shape, info.dtype):
            write(names[part.suffix], part.offset, part.data.cpu())
        statistics = TensorStatistics(whole)
        statistics.add_pair(rows, method.dequantize(quantized), method.step(quantized))
        statistics.clipped = method.count_clipped(chosen, quantized)
        advance(stored.numel() * scale_dtype.itemsize)  # of the source: a folded weight comes in float32
        return statistics, method.levels(quantized) if first == 0 else ()

    total = TensorStatistics(whole)
    levels: tuple[float, ...] = ()
    for statistics, some_levels in pool.map(one, row_blocks(tensor, BLOCK_ELEMENTS, method.row_multiple)):
        total.merge(statistics)
        levels = levels or some_levels
    return report_of(assignment, total, levels)


def dequantized_again(assignment: Assignment, tensor: torch.Tensor, pool: Executor) -> torch.Tensor:
    """What a weight that is quantized without calibration dequantizes to: float32, in the tensor's shape."""
    import torch

    scheme = assignment.scheme
    assert scheme is not None
    method = arithmetic(scheme)
    whole = measure_range(tensor, assignment.tensor.name, pool, method)
    scale_dtype = torch_dtype(assignment.tensor.dtype)
    value_range = ValueRange(whole.low, whole.high)

    def one(block: tuple[int, torch.Tensor]) -> torch.Tensor:
        return method.dequantize(method.quantize(block[1].float(), scale_dtype, value_range, block[0]))

    blocks = row_blocks(tensor, BLOCK_ELEMENTS, method.row_multiple)
    return torch.cat(list(pool.map(one, blocks))).view(tensor.shape)


def report_of(
    assignment: Assignment,
    statistics: TensorStatistics | None,
    levels: tuple[float, ...] = (),
    *,
    compared: bool | None = None,
) -> TensorReport:
    """The report of one tensor from its assignment and what was counted.

    `compared` says whether dequantized values were counted too; by default they were where there is a scheme.
    """
    info = assignment.tensor
    compared = assignment.scheme is not None if compared is None else compared
    before = after = difference = error = None
    if statistics is not None:
        before, after, difference = statistics.histograms
        error = statistics.error() if compared else None
    return TensorReport(
        name=info.name,
        shape=info.shape,
        role=info.role,
        layer=info.layer,
        module=info.module,
        scheme_id=assignment.scheme.id if assignment.scheme else None,
        bits=8 * assignment.nbytes / info.numel if info.numel else 0.0,
        bytes_before=info.nbytes,
        bytes_after=assignment.nbytes,
        dtype_before=info.dtype,
        why_kept=assignment.why,
        error=error,
        before=before,
        after=after if compared else None,
        difference=difference if compared else None,
        levels=levels,
        step=statistics.step if statistics is not None else None,
        channel_max=statistics.channel_max if statistics is not None else (),
        kurtosis=statistics.kurtosis if statistics is not None else None,
    )
