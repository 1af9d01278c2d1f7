"""8-bit weights and activations whose scales calibration finds: W8A8 and SmoothQuant in integers, FP8 in small floats.

Each layer has one scale for its inputs, from the largest magnitude on the calibration text, or a part of it where that
is better for most tokens. SmoothQuant (Xiao et al. 2022,
arXiv:2211.10438) first divides each input channel by s = max|x|^alpha / max|w|^(1 - alpha) and multiplies the weight's
column by it, which leaves activations without the channels that stand out. The paper folds 1 / s into norms; a row of
the matrix before (value before output, up before down) takes it just as well, because it has a scale of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from quantgui.calibration.block import Block
from quantgui.calibration.scale_pairs import ScalePair
from quantgui.checkpoint.tensor_data import torch_dtype
from quantgui.formats.int_quantized import IntQuantized
from quantgui.quant.activation_rounding import round_inputs, static_scale
from quantgui.quant.calibrated import CALIBRATION, CalibratedTensor
from quantgui.quant.folded_block import FoldedBlock
from quantgui.quant.method import Kind, Method, RowArithmetic, SchemeRow, ValueRange
from quantgui.quant.methods.float8 import Float8
from quantgui.quant.methods.round_to_nearest import RoundToNearest
from quantgui.quant.searched_rows import some_rows
from quantgui.quant.storage_rounding import rounded_up
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Activations, Granularity, Scheme
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

REACHES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Tried fractions of the largest magnitude that the scale of the inputs reaches."""
ALPHAS = tuple(step / 10 for step in range(1, 10))
"""Tried per layer where alpha is searched, beside no smoothing."""


class StaticActivations(RowArithmetic):
    """The weights' arithmetic, which is that of round to nearest or FP8.

    The scale of the inputs is NaN until calibration has found it: a file with it would fail its check.
    """

    def __init__(self, scheme: Scheme) -> None:
        self._weights = Float8(scheme) if scheme.number == "float" else RoundToNearest(scheme)
        self._static = scheme.activations is not None and not scheme.activations.dynamic
        self.needs_range, self.row_multiple = self._weights.needs_range, self._weights.row_multiple
        self.dequantize, self.count_clipped = self._weights.dequantize, self._weights.count_clipped
        self.levels, self.step = self._weights.levels, self._weights.step

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """The codes and scales of the weights."""
        import torch

        quantized = self._weights.quantize(rows, scale_dtype, whole, first_row)
        unknown = torch.full((1,), torch.nan, dtype=scale_dtype) if self._static else None
        return replace(quantized, input_scale=unknown)


class StaticBlocks:
    """The work on one block: smoothing where it is asked for, then scales for the inputs of every layer."""

    def quantize_block(self, block: Block, tensors: Mapping[str, Assignment]) -> Iterator[CalibratedTensor]:
        """See `CalibratedArithmetic`. Raises UserError for a layer that no token reaches: nothing can be said of it."""
        folded = FoldedBlock(block, tensors, products=False)
        if lost := sorted(set(tensors) - set(folded.statistics)):
            raise UserError(
                f"No calibration token reached {lost[0]}, so its inputs have no scale.",
                hint="Choose activations that are rounded per token, or more calibration text.",
            )
        layers = {name: _Layer(folded, name) for name in tensors}
        before = {name: layer.error(None) for name, layer in layers.items()}
        smoothed = {name for name, layer in layers.items() if "alpha" in layer.settings}
        pairs = [pair for pair in folded.pairs() if smoothed.issuperset(pair.linears)] if smoothed else []
        found = [(pair, _smoothing(folded, pair, [layers[name] for name in pair.linears])) for pair in pairs]
        for pair, scales in found:
            if scales is not None:
                folded.fold(pair, scales)
        reached = {name for pair, _ in found for name in pair.linears}
        yield from folded.vectors()
        for name, layer in layers.items():
            result = layer.finish(before[name])
            yield replace(result, unscaled=name in smoothed - reached)


def _smoothing(folded: FoldedBlock, pair: ScalePair, layers: list[_Layer]) -> torch.Tensor | None:
    """The scales [inputs] of a pair for the given alpha, or for the one with the smallest error of the layers' outputs;
    None where none makes it smaller."""
    import torch

    largest = folded.statistics[pair.linears[0]].largest
    weights = torch.stack([layer.weight.abs().amax(dim=0) for layer in layers]).amax(dim=0)
    usable = (largest > 0) & (weights > 0)

    def scales(alpha: float) -> torch.Tensor:
        return torch.where(usable, largest.pow(alpha) / weights.pow(1 - alpha), 1.0)

    if not layers[0].settings["per_layer"]:
        return scales(float(layers[0].settings["alpha"]))
    candidates = (None, *map(scales, ALPHAS))
    return min(candidates, key=lambda chosen: sum(layer.error(chosen, some_rows) for layer in layers))


class _Layer:
    """One linear layer of a block with its scheme."""

    def __init__(self, folded: FoldedBlock, name: str) -> None:
        self._folded, self._name = folded, name
        scheme = folded.tensors[name].scheme
        assert scheme is not None
        assert scheme.activations is not None
        self._activations = scheme.activations
        self.settings: dict[str, ParameterValue] = dict(scheme.settings)
        self._method = StaticActivations(scheme)
        self._dtype = torch_dtype(folded.tensors[name].tensor.dtype)
        self._reach = 1.0

    @property
    def weight(self) -> torch.Tensor:
        """The float weight [outputs, inputs] as the block has it."""
        return self._folded.block.linears[self._name]

    def _quantized(self, weight: torch.Tensor) -> QuantizedRows:
        return self._method.quantize(weight, self._dtype, ValueRange(float(weight.min()), float(weight.max())))

    def _input_scale(self, scales: torch.Tensor | float) -> torch.Tensor | None:
        """As it is stored, for inputs divided by `scales`."""
        if self._activations.dynamic:
            return None
        largest = (self._folded.statistics[self._name].largest / scales).amax() * self._reach
        return rounded_up(static_scale(largest, self._activations), self._dtype)

    def error(
        self, scales: torch.Tensor | None, rows: Callable[[torch.Tensor], torch.Tensor] = lambda weight: weight
    ) -> float:
        """Relative squared error of the outputs on the sample with the inputs divided by `scales`, before any fold.

        Of the outputs that `rows` takes from the weight; all, where the weight has one scale for all of them.
        """
        factor = 1.0 if scales is None else scales
        weight = rows(self.weight) * factor
        return self._error(weight, self._method.dequantize(self._quantized(weight)), factor)

    def _error(self, weight: torch.Tensor, rounded: torch.Tensor, scales: torch.Tensor | float) -> float:
        inputs = self._inputs(scales)
        exact = inputs @ weight.T
        size = float(exact.square().sum())
        return float(self._token_errors(inputs, exact, rounded, scales).sum()) / size if size else 0.0

    def _inputs(self, scales: torch.Tensor | float) -> torch.Tensor:
        """The sample [tokens, inputs], divided by `scales`."""
        return self._folded.statistics[self._name].sample / scales

    def _token_errors(
        self, inputs: torch.Tensor, exact: torch.Tensor, rounded: torch.Tensor, scales: torch.Tensor | float
    ) -> torch.Tensor:
        """Squared error of the outputs, whose exact values are given, [tokens] of the sample."""
        difference = exact - round_inputs(inputs, self._activations, self._input_scale(scales)) @ rounded.T
        return difference.square().sum(dim=1)

    def _find_reach(self, weight: torch.Tensor, rounded: torch.Tensor, scales: torch.Tensor) -> None:
        """How far the scale reaches: cutting off the few tokens with huge inputs can be worth it for all the others.

        Every token counts alike, by its own relative error: those with huge inputs also have huge outputs, and would
        decide alone otherwise. Some of the outputs tell.
        """
        inputs, some = self._inputs(scales), some_rows(rounded)
        exact = inputs @ some_rows(weight).T
        sizes = exact.square().sum(dim=1).clamp_(min=1e-30)

        def mean_error(reach: float) -> float:
            self._reach = reach
            return float((self._token_errors(inputs, exact, some, scales) / sizes).mean())

        self._reach = min(REACHES, key=mean_error)

    def finish(self, error_before: float) -> CalibratedTensor:
        """Quantizes the folded weight; from now on the block computes with rounded weights and inputs."""
        scales = self._folded.scales_of(self._name)
        quantized = self._quantized(self.weight)
        rounded = self._method.dequantize(quantized)
        if not self._activations.dynamic:
            self._find_reach(self.weight, rounded, scales)
        input_scale = self._input_scale(scales)
        quantized = replace(quantized, input_scale=input_scale)
        error = self._error(self.weight, rounded, scales)
        self.weight.copy_(rounded)
        self._folded.block.input_rounding[self._name] = lambda x: round_inputs(x, self._activations, input_scale)
        fold = self._folded.fold_of(self._name)
        return CalibratedTensor(self._name, quantized, fold, output_error_rounded=error_before, output_error=error)


ALPHA = Parameter(
    "alpha",
    "Migration strength",
    "How much of the difficulty moves from activations to weights: 0 none, 1 all of it.",
    0.5,
    minimum=0.0,
    maximum=1.0,
)
PER_LAYER = Parameter(
    "per_layer",
    "Search it per layer",
    "Tries strengths from 0.1 to 0.9 for each layer, and none, and keeps the one with the smallest error.",
    False,
)
ACTIVATIONS = Parameter(
    "activations",
    "Activations",
    "One scale per layer from calibration text is fastest; a scale per token is more exact.",
    "static",
    choices=("static", "dynamic"),
    choice_titles=("One scale per layer", "A scale per token"),
)


def make_w8a8(**_: ParameterValue) -> Scheme:
    """Int8 weights per output channel, int8 activations with one scale per layer."""
    return _int8("W8A8", dynamic=False)


def make_smoothquant(*, activations: str, alpha: float, per_layer: bool, **_: ParameterValue) -> Scheme:
    """The same with smoothing; activations "static" or "dynamic"."""
    scheme = _int8("SmoothQuant-W8A8", dynamic=activations == "dynamic")
    return replace(scheme, settings=(("alpha", alpha), ("per_layer", per_layer)))


def _int8(scheme_id: str, *, dynamic: bool) -> Scheme:
    activations = Activations("int", dynamic=dynamic)
    return Scheme(
        scheme_id, "static_activations", "int", 8, IntQuantized(), Granularity.CHANNEL, activations=activations
    )


RUNTIMES = ("vLLM", "transformers")
METHOD = Method(
    id="static_activations",
    title="Calibrated activations",
    rows=(
        SchemeRow(
            "W8A8",
            "8-bit integer, calibrated activations",
            "Computes in 8-bit integers with scales found on calibration text: the fastest, if no channel stands out.",
            8,
            "compressed_tensors",
            RUNTIMES,
            make_w8a8,
            CALIBRATION,
        ),
        SchemeRow(
            "SmoothQuant-W8A8",
            "8-bit integer, smoothed activations",
            "W8A8 for models whose activations have channels that stand out: they are moved into the weights first.",
            8,
            "compressed_tensors",
            RUNTIMES,
            make_smoothquant,
            (ACTIVATIONS, ALPHA, PER_LAYER, *CALIBRATION),
        ),
    ),
    arithmetic=StaticActivations,
    kind=Kind.CALIBRATED,
    calibrated=StaticBlocks,
)
