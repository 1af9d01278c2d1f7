"""GPTQ: weights are rounded one column after another so that a layer's outputs on calibration text change least.

The algorithm is in `quantgui.quant.gptq_solver`; here are its settings, the walk through a block's layers and the
rows. A layer that no calibration token reaches, and one for which rounding to nearest is better, is rounded to nearest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from quantgui.calibration.block import Block
from quantgui.calibration.hessian import Hessian, output_error, output_power
from quantgui.formats.gptq import GptqLayout
from quantgui.formats.pack_quantized import PackQuantized
from quantgui.quant.calibrated import CALIBRATION, CalibratedTensor
from quantgui.quant.gptq_solver import Problem, prepare, solve
from quantgui.quant.method import Kind, Method, SchemeRow, ValueRange
from quantgui.quant.methods.round_to_nearest import GRANULARITY, GROUP_SIZE, SYMMETRIC, RoundToNearest
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

WHOLE = 1 << 30
"""Rows at once for a format that lays outputs side by side."""
HESSIAN_BYTES = 1 << 30
"""Most memory for the Hessians of layers that are captured in one pass."""
SEARCH_STEPS, SEARCH_SMALLEST = 20, 0.5
"""Of the scale search: how many fractions of a group's range are tried, and the smallest one."""


class Gptq(RoundToNearest):
    """Scales, codes and dequantization; by itself it rounds to nearest."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(scheme)
        self.settings = dict(scheme.settings)
        self.layout = scheme.storage if isinstance(scheme.storage, GptqLayout) else None
        self.row_multiple = WHOLE if self.layout is not None else 1

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Nearest levels; GPTQ's own format has scales in float16 whatever the model's dtype.

        Raises UserError where float16 cannot hold them.
        """
        import torch

        quantized = super().quantize(rows, self.scale_dtype(scale_dtype), whole, first_row)
        assert quantized.scale is not None
        if not bool(torch.isfinite(quantized.scale).all()):
            raise UserError(
                "This model has weights that are too large for the 16-bit scales of the GPTQ format.",
                hint="Write it as compressed-tensors, whose scales have the model's own type.",
            )
        return quantized

    @property
    def takes_most_active_first(self) -> bool:
        """Whether columns are rounded in the order of their inputs' size rather than as they are stored."""
        return bool(self.settings.get("act_order") or self.settings.get("static_order"))

    def scale_dtype(self, source: torch.dtype) -> torch.dtype:
        """The dtype in which scales are stored for a weight of dtype `source`."""
        import torch

        return source if self.layout is None else torch.float16

    def scales_of_range(
        self, low: torch.Tensor, high: torch.Tensor, scale_dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As for round to nearest; version 1 of the format cannot store a zero-point of 0, so `low` is below zero."""
        import torch

        if self.layout is not None and self.layout.version == 1 and not self.scheme.symmetric:
            low = torch.minimum(low, -high / (2**self.scheme.bits - 2))
        return super().scales_of_range(low, high, scale_dtype)

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """scale * (code - zero_point), in float32, with each column's own group."""
        if quantized.group_index is None:
            return super().dequantize(quantized)
        assert quantized.scale is not None
        index = quantized.group_index.long()
        values = quantized.codes.float()
        if quantized.zero_point is not None:
            values -= quantized.zero_point[:, index]
        return values.mul_(quantized.scale.float()[:, index])

    def count_clipped(self, rows: torch.Tensor, quantized: QuantizedRows) -> int:
        """Elements more than half a step outside the codes' range."""
        import torch

        if quantized.group_index is None:
            return super().count_clipped(rows, quantized)
        order = torch.argsort(quantized.group_index, stable=True)
        return super().count_clipped(rows[:, order].contiguous(), replace(quantized, codes=quantized.codes[:, order]))

    def find_scales(self, weights: torch.Tensor, scale_dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Float32 scale and zero-point [rows] of one group [rows, columns], rounded as they are stored."""
        import torch

        low, high = torch.aminmax(weights, dim=1, keepdim=True)
        low, high = low.clamp_(max=0.0), high.clamp_(min=0.0)
        best = self._levels(low, high, scale_dtype)
        if self.settings.get("mse"):
            best = self._searched(weights, low, high, best, scale_dtype)
        return best[0][:, 0], best[1][:, 0]

    def _levels(
        self, low: torch.Tensor, high: torch.Tensor, scale_dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        scale, zero = self.scales_of_range(low, high, scale_dtype)
        wide = scale.float()
        return wide, torch.zeros_like(wide) if zero is None else zero.float()

    def _searched(
        self,
        weights: torch.Tensor,
        low: torch.Tensor,
        high: torch.Tensor,
        first: tuple[torch.Tensor, torch.Tensor],
        scale_dtype: torch.dtype,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The shrunk range whose rounding errors are smallest, by row."""
        import torch

        scale, zero = first
        least = self._error(weights, scale, zero)
        for step in range(1, SEARCH_STEPS):
            fraction = 1 - (1 - SEARCH_SMALLEST) * step / SEARCH_STEPS
            other_scale, other_zero = self._levels(low * fraction, high * fraction, scale_dtype)
            error = self._error(weights, other_scale, other_zero)
            better = error < least
            scale, zero = torch.where(better, other_scale, scale), torch.where(better, other_zero, zero)
            least = torch.minimum(error, least)
        return scale, zero

    def _error(self, weights: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
        """Sum of |error|^2.5: large errors count more than in a mean square, as in the code of the paper (there 2.4),
        and a square root is ten times faster than a power."""
        codes = (weights / scale).round_().add_(zero).clamp_(self.low, self.high)
        error = codes.sub_(zero).mul_(scale).sub_(weights).abs_()
        return (error.sqrt() * error.square_()).sum(dim=1, keepdim=True)

    def solve(self, weight: torch.Tensor, problem: Problem, scale_dtype: torch.dtype) -> QuantizedRows:
        """GPTQ's codes for a whole weight float32 [rows, columns]."""
        import torch

        rows, columns = weight.shape
        groups = self.scheme.scale_shape((rows, columns))[1]
        find = partial(self.find_scales, scale_dtype=scale_dtype)
        static = None
        if self.takes_most_active_first and not self.scheme.act_order:
            found = [find(group) for group in weight.view(rows, groups, -1).unbind(1)]
            static = (torch.stack([s for s, _ in found], dim=1), torch.stack([z for _, z in found], dim=1))
        solution = solve(weight, problem, columns // groups, (self.low, self.high), find, static)
        index = None
        if self.scheme.act_order:
            index = torch.empty(columns, dtype=torch.int32, device=weight.device)
            index[problem.order] = torch.arange(columns, dtype=torch.int32, device=weight.device) // (columns // groups)
        zero = None if self.scheme.symmetric else solution.zero_point.to(torch.int8)
        return QuantizedRows(solution.codes, solution.scale.to(scale_dtype), zero, group_index=index)


class GptqBlocks:
    """GPTQ's work on one block: step by step through its layers, each with inputs that what came before has changed."""

    def quantize_block(self, block: Block, tensors: Mapping[str, Assignment]) -> Iterator[CalibratedTensor]:
        """See `CalibratedArithmetic`. Memory: the Hessians of one stage, at most HESSIAN_BYTES."""
        sequential = all(_settings(a).get("true_sequential") for a in tensors.values())
        steps = []
        for stage in block.stages():
            groups = [tuple(name for name in group if name in tensors) for group in stage]
            steps += list(_portions([group for group in groups if group], block))
        if not sequential:
            steps = list(_portions([group for step in steps for group in step], block))
        for step in steps:
            hessians = _hessians(block, [group[0] for group in step])
            for group in step:
                hessian = hessians.pop(group[0], None)
                for name in group:
                    yield _quantize(block, name, tensors[name], hessian)


def _settings(assignment: Assignment) -> dict[str, ParameterValue]:
    assert assignment.scheme is not None
    return dict(assignment.scheme.settings)


def _portions(groups: Sequence[tuple[str, ...]], block: Block) -> Iterator[list[tuple[str, ...]]]:
    """The groups in portions whose Hessians fit HESSIAN_BYTES, at least one group each."""
    portion: list[tuple[str, ...]] = []
    held = 0
    for group in groups:
        needed = 4 * block.linears[group[0]].shape[1] ** 2
        if portion and held + needed > HESSIAN_BYTES:
            yield portion
            portion, held = [], 0
        portion.append(group)
        held += needed
    if portion:
        yield portion


def _hessians(block: Block, names: Sequence[str]) -> dict[str, Hessian]:
    """The Hessian of each of these layers that a token reached."""
    found: dict[str, Hessian] = {}

    def visit(name: str, inputs: torch.Tensor) -> None:
        if name not in found:
            found[name] = Hessian(inputs.shape[1], inputs.device)
        found[name].add(inputs)

    block.capture(visit, names)
    for name, hessian in found.items():
        hessian.check(name)
    return found


def _quantize(block: Block, name: str, assignment: Assignment, hessian: Hessian | None) -> CalibratedTensor:
    """Quantizes one layer's weight and puts what it dequantizes to into the block."""
    from quantgui.checkpoint.tensor_data import torch_dtype

    assert assignment.scheme is not None
    method = Gptq(assignment.scheme)
    weight = block.linears[name]
    scale_dtype = method.scale_dtype(torch_dtype(assignment.tensor.dtype))
    quantized = method.quantize(weight, scale_dtype, None)
    dequantized = method.dequantize(quantized)
    if hessian is None:
        weight.copy_(dequantized)
        return CalibratedTensor(name, quantized, unseen=True)
    settings = _settings(assignment)
    damping = float(settings.get("damping", 0.01))
    problem = prepare(hessian.matrix, damping, act_order=method.takes_most_active_first, name=name)
    power = output_power(hessian.matrix, weight)
    rounded = best = output_error(hessian.matrix, weight, dequantized, power)
    solved = method.solve(weight, problem, scale_dtype)
    after = method.dequantize(solved)
    if (error := output_error(hessian.matrix, weight, after, power)) <= rounded:
        quantized, dequantized, best = solved, after, error
    weight.copy_(dequantized)
    return CalibratedTensor(name, quantized, output_error_rounded=rounded, output_error=best)


ACT_ORDER = Parameter(
    "act_order",
    "Group by activity",
    "Groups are formed of inputs of like size (act-order, desc_act): smaller errors, a little slower to run.",
    False,
)
STATIC_ORDER = Parameter(
    "static_order",
    "Round the most active first",
    "Columns with the largest inputs are rounded first, groups stay in place: better, and costs nothing at run time.",
    True,
    advanced=True,
)
TRUE_SEQUENTIAL = Parameter(
    "true_sequential",
    "True sequential",
    "Each part of a layer is calibrated with the parts before it already quantized.",
    True,
    advanced=True,
)
DAMPING = Parameter(
    "damping",
    "Damping",
    "Added to the diagonal before solving, as a fraction of its mean. More is steadier, less is more exact.",
    0.01,
    minimum=0.0001,
    maximum=1.0,
    advanced=True,
)
MSE = Parameter(
    "mse",
    "Search scales",
    "Tries shrunk ranges for each group and keeps the one with the smallest error. Slower.",
    True,
    advanced=True,
)
FORMAT = Parameter(
    "format",
    "Written as",
    "GPTQ loads in transformers and vLLM, version 2 also holds zero-points of 0, compressed-tensors is vLLM's own.",
    "gptq",
    choices=("gptq", "gptq_v2", "compressed-tensors"),
    choice_titles=("GPTQ", "GPTQ, version 2", "compressed-tensors"),
)
OWN_SETTINGS = ("act_order", "static_order", "damping", "true_sequential", "mse")
STORAGES = {"gptq": GptqLayout(1), "gptq_v2": GptqLayout(2), "compressed-tensors": PackQuantized()}


def make(
    scheme_id: str,
    bits: int,
    *,
    granularity: str,
    group_size: int,
    symmetric: bool,
    **settings: ParameterValue,
) -> Scheme:
    """The GPTQ scheme of these settings. compressed-tensors stores no order of columns: there groups stay in place."""
    grain = Granularity(granularity)
    storage = STORAGES[str(settings.pop("format"))]
    return Scheme(
        id=scheme_id,
        method="gptq",
        number="int",
        bits=bits,
        storage=storage,
        granularity=grain,
        group_size=group_size if grain is Granularity.GROUP else None,
        symmetric=symmetric,
        act_order=bool(settings["act_order"]) and isinstance(storage, GptqLayout) and grain is Granularity.GROUP,
        settings=tuple((name, value) for name, value in settings.items() if name in OWN_SETTINGS),
    )


def _row(bits: int, summary: str) -> SchemeRow:
    granularity = replace(GRANULARITY, choices=("group", "channel"), choice_titles=("Group", "Output channel"))
    return SchemeRow(
        id=f"GPTQ-{bits}",
        title=f"{bits}-bit GPTQ",
        summary=summary,
        bits=bits,
        format="gptq",
        runtimes=("transformers", "vLLM"),
        make=partial(make, f"GPTQ-{bits}", bits),
        parameters=(
            granularity,
            GROUP_SIZE,
            SYMMETRIC,
            ACT_ORDER,
            FORMAT,
            *CALIBRATION,
            STATIC_ORDER,
            MSE,
            TRUE_SEQUENTIAL,
            DAMPING,
        ),
    )


METHOD = Method(
    id="gptq",
    title="GPTQ",
    rows=(
        _row(8, "8 bits, calibrated on text; hardly different from 16 bits."),
        _row(4, "4 bits, calibrated on text: clearly better than rounding, loads almost everywhere."),
        _row(3, "3 bits, calibrated on text: the smallest that usually stays usable."),
        _row(2, "2 bits, calibrated on text; expect a clear loss."),
    ),
    arithmetic=Gptq,
    kind=Kind.CALIBRATED,
    calibrated=GptqBlocks,
)
