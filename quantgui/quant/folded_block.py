"""A block of a model into which scales of activations are folded before its weights are quantized.

AWQ and SmoothQuant choose the scales; here is what they share: dividing what comes before, multiplying the columns that
follow, remembering both for the files, and measuring errors as the model without scales would see them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quantgui.calibration.block import Block
from quantgui.calibration.input_statistics import InputStatistics, gather
from quantgui.calibration.scale_pairs import ScalePair, find_pairs
from quantgui.checkpoint.tensor_data import torch_dtype
from quantgui.quant.calibrated import CalibratedTensor, Fold
from quantgui.schemes.assignment import Assignment

if TYPE_CHECKING:
    import torch


@dataclass
class FoldedBlock:
    """`tensors` are to be quantized. Scales are folded into the block's own weights, which stay float until then."""

    block: Block
    tensors: Mapping[str, Assignment]
    products: bool = True  # whether the statistics have an H
    statistics: dict[str, InputStatistics] = field(init=False)
    """Of the inputs before any scaling, by name; a layer that no token reaches has none."""
    _rows: dict[str, torch.Tensor] = field(default_factory=dict)
    _columns: dict[str, torch.Tensor] = field(default_factory=dict)
    _offsets: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.statistics = gather(self.block, self.tensors, products=self.products)

    def pairs(self) -> Iterator[ScalePair]:
        """The pairs that may be scaled: all linears, and a source that is one, are to be quantized.

        What a rule keeps, or gives to another method, is left as it is.
        """
        for pair in find_pairs(self.block):
            ours = all(name in self.tensors and name in self.statistics for name in pair.linears)
            if ours and (pair.is_norm or pair.source in self.tensors):
                yield pair

    def fold(self, pair: ScalePair, scales: torch.Tensor) -> None:
        """Multiplies the columns of the pair's linears by about `scales` [inputs] and undoes that at the source."""
        import torch

        source = self.parameters[pair.source]
        factors = pair.source_factors(pair.shared(scales), len(source))
        if pair.is_norm:
            # What a norm's weight loses when it is stored is made up for in the columns.
            dtype = torch_dtype(self.tensors[pair.linears[0]].tensor.dtype)
            before = source + pair.offset
            stored = (before * factors - pair.offset).to(dtype).float() + pair.offset
            usable = (before != 0) & (stored != 0)
            factors = torch.where(usable, stored / before, 1.0)
            self._offsets[pair.source] = pair.offset
        exact = 1 / factors[pair.rows]
        for name in pair.linears:
            self._multiply(self._columns, name, exact)
            self.block.linears[name].mul_(exact)
        self._multiply(self._rows, pair.source, factors)
        if pair.is_norm:
            source.add_(pair.offset).mul_(factors).sub_(pair.offset)
        else:
            source.mul_(factors.unsqueeze(1))
        if pair.bias is not None:
            self._multiply(self._rows, pair.bias, factors)
            self.block.vectors[pair.bias].mul_(factors)

    @staticmethod
    def _multiply(factors: dict[str, torch.Tensor], name: str, more: torch.Tensor) -> None:
        factors[name] = factors[name] * more if name in factors else more

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        """The block's matrices and vectors by tensor name."""
        return {**self.block.linears, **self.block.vectors}

    def fold_of(self, name: str) -> Fold | None:
        """What was folded into a tensor, None for nothing."""
        if name not in self._rows and name not in self._columns:
            return None
        return Fold(self._rows.get(name), self._columns.get(name), self._offsets.get(name, 0.0))

    def scales_of(self, name: str) -> torch.Tensor:
        """What the inputs of a linear are divided by, [inputs]."""
        import torch

        weight = self.block.linears[name]
        return self._columns.get(name, torch.ones(weight.shape[1], device=weight.device))

    def unfolded(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """A weight [outputs, inputs] as it would be without the scales."""
        plain = weight / self.scales_of(name)
        return plain / self._rows[name].unsqueeze(1) if name in self._rows else plain

    def vectors(self) -> Iterator[CalibratedTensor]:
        """The norms and biases that something was folded into."""
        for name in self._rows:
            if name in self.block.vectors:
                yield CalibratedTensor(name, None, self.fold_of(name))
