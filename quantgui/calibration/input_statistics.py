"""What the methods that scale activations need to know of the inputs of a layer, gathered sample by sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from quantgui.calibration.block import Block
from quantgui.calibration.hessian import Hessian

if TYPE_CHECKING:
    import torch

SAMPLE_TOKENS = 512
"""Tokens that are kept for searches, spread evenly over the calibration text; up to twice as many in between."""


class InputStatistics:
    """Magnitudes per channel, H, and some inputs themselves; all float32 on the inputs' device."""

    def __init__(self, features: int, device: torch.device, *, products: bool = True) -> None:
        import torch

        self._hessian = Hessian(features, device) if products else None
        self.tokens = 0
        self.largest = torch.zeros(features, device=device)
        """The largest magnitude of each channel."""
        self._sum = torch.zeros(features, dtype=torch.float64, device=device)
        self._kept: list[torch.Tensor] = []
        self._stride = 1  # every token whose number is a multiple of it is kept

    def add(self, inputs: torch.Tensor) -> None:
        """Adds float32 inputs [tokens, features]."""
        import torch

        if self._hessian is not None:
            self._hessian.add(inputs)
        magnitudes = inputs.abs()
        self._kept.append(inputs[-self.tokens % self._stride :: self._stride].clone())
        self.tokens += len(inputs)
        self._sum += magnitudes.sum(dim=0, dtype=torch.float64)
        self.largest = torch.maximum(self.largest, magnitudes.amax(dim=0))
        while sum(map(len, self._kept)) > 2 * SAMPLE_TOKENS:
            self._kept = [torch.cat(self._kept)[::2].clone()]
            self._stride *= 2

    @property
    def hessian(self) -> Hessian:
        """H, where products were asked for."""
        assert self._hessian is not None
        return self._hessian

    @property
    def mean(self) -> torch.Tensor:
        """The mean magnitude of each channel."""
        return (self._sum / max(self.tokens, 1)).float()

    @property
    def sample(self) -> torch.Tensor:
        """Some of the inputs [tokens, features]: every one of a short text, else every n-th."""
        import torch

        return torch.cat(self._kept)


def gather(block: Block, names: Iterable[str], *, products: bool = True) -> dict[str, InputStatistics]:
    """By name, for each of these linears that a token reaches. Linears that share their inputs share the statistics.

    With `products` they have an H, which takes more time than the block itself and 4 x features^2 bytes for each group
    of linears. Raises UserError where inputs are not finite, or too large for an H.
    """
    wanted = set(names)
    groups = [[name for name in group if name in wanted] for group in block.input_groups()]
    found: dict[str, InputStatistics] = {}

    def visit(name: str, inputs: torch.Tensor) -> None:
        if name not in found:
            found[name] = InputStatistics(inputs.shape[1], inputs.device, products=products)
        found[name].add(inputs)

    block.capture(visit, [group[0] for group in groups if group])
    for name, statistics in found.items() if products else ():
        statistics.hessian.check(name)
    return {name: found[group[0]] for group in groups if group and group[0] in found for name in group}
