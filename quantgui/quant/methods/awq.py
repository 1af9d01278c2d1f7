"""AWQ: before weights are rounded, the columns that meet large inputs are scaled up, and what comes before down.

Lin et al. 2023, "AWQ: Activation-aware weight quantization" (arXiv:2306.00978). The searches are in
`quantgui.quant.awq_search`, the folding in `quantgui.quant.folded_block`. A layer without something before it that can
take a scale is clipped and rounded as it is; one that no calibration token reaches is rounded to nearest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from quantgui.calibration.block import Block
from quantgui.calibration.hessian import output_error, output_power
from quantgui.checkpoint.tensor_data import torch_dtype
from quantgui.formats.awq import AwqLayout
from quantgui.formats.pack_quantized import PackQuantized
from quantgui.quant.awq_search import Layer, clip, search_clipping, search_scales
from quantgui.quant.calibrated import CALIBRATION, CalibratedTensor
from quantgui.quant.folded_block import FoldedBlock
from quantgui.quant.method import Kind, Method, SchemeRow, ValueRange
from quantgui.quant.methods.round_to_nearest import GROUP_SIZE, SYMMETRIC, RoundToNearest
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Granularity, Scheme

if TYPE_CHECKING:
    import torch

SAMPLES = 32
"""Pieces of text by default. The searches choose between a few candidates and need less text than GPTQ's solver; on the
bundled model 32 pieces gave 0.0020 +- 0.0006 nats per token less loss than 128, and 16 about as much as 32."""
WHOLE = 1 << 30
"""Rows at once for a format that lays outputs side by side."""
NEVER_CLIPPED = frozenset({"attn.q", "attn.k", "attn.qkv"})
"""Their outputs are multiplied with each other: an error of one is magnified by the other (as in the authors' code)."""


class Awq(RoundToNearest):
    """Scales, codes and dequantization; by itself it rounds to nearest."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(scheme)
        self.side_by_side = isinstance(scheme.storage, AwqLayout)
        self.row_multiple = WHOLE if self.side_by_side else 1

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Nearest levels; AWQ's own format has scales in float16 whatever the model's dtype."""
        import torch

        return super().quantize(rows, torch.float16 if self.side_by_side else scale_dtype, whole, first_row)


class AwqBlocks:
    """AWQ's work on one block."""

    def quantize_block(self, block: Block, tensors: Mapping[str, Assignment]) -> Iterator[CalibratedTensor]:
        """See `CalibratedArithmetic`. All scales are searched on the float block and folded before the first rounding.

        Memory: H of each group of linears that share their inputs.
        """
        folded = FoldedBlock(block, tensors)
        pairs = list(folded.pairs())
        found = []
        for pair in pairs:
            layers = [Layer(block.linears[name], _Rounding(tensors[name]).round_trip) for name in pair.linears]
            found.append(search_scales(layers, folded.statistics[pair.linears[0]], pair.shared))
        for pair, scales in zip(pairs, found, strict=True):
            if scales is not None:
                folded.fold(pair, scales)
        unscaled = set(tensors) - {name for pair in pairs for name in pair.linears}
        yield from folded.vectors()
        for name in tensors:
            yield replace(_quantize(folded, name), unscaled=name in unscaled)


class _Rounding:
    """How one tensor is rounded."""

    def __init__(self, assignment: Assignment) -> None:
        assert assignment.scheme is not None
        self.method = Awq(assignment.scheme)
        self.scale_dtype = torch_dtype(assignment.tensor.dtype)

    def quantize(self, weight: torch.Tensor) -> QuantizedRows:
        return self.method.quantize(weight, self.scale_dtype, None)

    def round_trip(self, weight: torch.Tensor) -> torch.Tensor:
        """A float32 weight quantized and dequantized again."""
        return self.method.dequantize(self.quantize(weight))


def _quantize(folded: FoldedBlock, name: str) -> CalibratedTensor:
    """Quantizes one layer's folded weight, clipped where that helps, and puts what it dequantizes to into the block."""
    assignment, weight = folded.tensors[name], folded.block.linears[name]
    rounding = _Rounding(assignment)
    plain = rounding.quantize(weight)
    if name not in folded.statistics:
        weight.copy_(rounding.method.dequantize(plain))
        return CalibratedTensor(name, plain, unseen=True)
    hessian = folded.statistics[name].hessian.matrix
    original = folded.unfolded(name, weight)
    candidates = [plain]
    if _clips(assignment):
        scales = folded.scales_of(name)
        scaled = hessian / scales / scales.unsqueeze(1)
        group = _group_size(assignment, weight)
        limits = search_clipping(weight, scaled, group, rounding.round_trip)
        candidates.append(rounding.quantize(clip(weight, limits, group)))

    power = output_power(hessian, original)

    def error(quantized: QuantizedRows) -> float:
        return output_error(hessian, original, folded.unfolded(name, rounding.method.dequantize(quantized)), power)

    errors = [error(candidate) for candidate in candidates]
    best = min(range(len(candidates)), key=errors.__getitem__)
    rounded = output_error(hessian, original, rounding.round_trip(original), power)
    weight.copy_(rounding.method.dequantize(candidates[best]))
    return CalibratedTensor(
        name, candidates[best], folded.fold_of(name), output_error_rounded=rounded, output_error=errors[best]
    )


def _clips(assignment: Assignment) -> bool:
    assert assignment.scheme is not None
    return bool(dict(assignment.scheme.settings)["clip"]) and assignment.tensor.module not in NEVER_CLIPPED


def _group_size(assignment: Assignment, weight: torch.Tensor) -> int:
    assert assignment.scheme is not None
    return assignment.scheme.group_size or weight.shape[1]


CLIP = Parameter(
    "clip",
    "Search clipping",
    "Cuts off the largest weights of a group where that makes the layer's error smaller.",
    True,
    advanced=True,
)
FORMAT = Parameter(
    "format",
    "Written as",
    "AWQ loads in transformers, vLLM and most servers; compressed-tensors is vLLM's own.",
    "awq",
    choices=("awq", "compressed-tensors"),
    choice_titles=("AWQ", "compressed-tensors"),
)


def make(*, group_size: int, symmetric: bool, clip: bool, **settings: ParameterValue) -> Scheme:
    """The AWQ scheme of these settings."""
    return Scheme(
        id="AWQ-4",
        method="awq",
        number="int",
        bits=4,
        storage=AwqLayout() if settings["format"] == "awq" else PackQuantized(),
        granularity=Granularity.GROUP,
        group_size=group_size,
        symmetric=symmetric,
        settings=(("clip", clip),),
    )


METHOD = Method(
    id="awq",
    title="AWQ",
    rows=(
        SchemeRow(
            "AWQ-4",
            "4-bit AWQ",
            "4 bits, scaled by what calibration text shows to matter; fast to make, loads almost everywhere.",
            4,
            "awq",
            ("transformers", "vLLM"),
            make,
            (
                replace(GROUP_SIZE, choices=(32, 64, 128)),
                replace(SYMMETRIC, default=False),
                FORMAT,
                *(replace(p, default=SAMPLES) if p.name == "samples" else p for p in CALIBRATION),
                CLIP,
            ),
        ),
    ),
    arithmetic=Awq,
    kind=Kind.CALIBRATED,
    calibrated=AwqBlocks,
)
