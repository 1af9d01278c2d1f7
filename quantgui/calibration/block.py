"""One block of a model that is walked through: its weights in memory, and what runs through it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantgui.calibration.linear_calls import watching
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

Visit = Callable[[str, "torch.Tensor"], None]
"""Told a tensor's name and the float32 inputs [tokens, in_features] of its layer, sample by sample."""

_NUMBER = re.compile(r"\.\d+\.")


class Stop(Exception):  # noqa: N818 - not an error: nothing more is needed of this forward pass
    """Ends a forward pass early."""


@dataclass
class Block:
    """One block with its weights in memory. `linears`: float32 views [outputs, inputs] by tensor name, to be changed.

    Conv1D weights, which are stored [inputs, outputs], are shown transposed; the matrices of a mixture's experts one
    by one. `vectors`: weights of norms and biases by tensor name, likewise. `input_rounding`, by name of a linear, is
    what becomes of its inputs whenever the block runs; filled by methods that quantize activations. `experts`: matrices
    of experts that the checkpoint stores as one tensor, by `weights.expert_name`; only their inputs can be asked for.
    """

    index: int
    count: int
    prefix: str  # its name in the model: "model.layers.3"
    module: Any
    linears: dict[str, torch.Tensor]
    vectors: dict[str, torch.Tensor]
    _run: Callable[[int], torch.Tensor] = field(repr=False)
    _samples: int = field(repr=False)
    _finish: Callable[[Callable[[int], torch.Tensor]], None] = field(repr=False)
    input_rounding: dict[str, Callable[[torch.Tensor], torch.Tensor]] = field(default_factory=dict)
    experts: dict[str, torch.Tensor] = field(default_factory=dict)

    def capture(self, visit: Visit, names: Sequence[str] | None = None) -> None:
        """Runs all samples through the block as it is now; `visit` sees the inputs of these linears (None: of all) and
        of experts that are named.

        A layer that no token reaches (an expert) is never visited. Raises UserError where inputs are not finite.
        """
        wanted = set(self.linears if names is None else names)

        def seen(name: str, rows: torch.Tensor) -> None:
            visit(name, rows)
            left.discard(name)
            if not left:
                raise Stop

        for sample in range(self._samples):
            left = set(wanted)
            with suppress(Stop):
                self._watched(sample, seen, wanted)

    def capture_finally(self, visit: Visit, names: Sequence[str]) -> None:
        """`capture` of a block that stays as it is: the same pass gives the outputs that the next block is fed with."""
        wanted = set(names)
        self._finish(lambda sample: self._watched(sample, visit, wanted))

    def _watched(self, sample: int, visit: Visit, wanted: set[str]) -> torch.Tensor:
        """One sample through the block; each of the wanted is told by its name, also where two share their inputs."""
        weights = {name: weight for name, weight in (self.linears | self.experts).items() if name in wanted}

        def seen(found: tuple[str, ...], inputs: torch.Tensor) -> None:
            self._check_finite(inputs, found[0])
            rows = inputs.reshape(-1, inputs.shape[-1])
            for name in found:
                visit(name, rows)

        with watching(weights, seen):
            return self.run(sample)

    def input_groups(self) -> tuple[tuple[str, ...], ...]:
        """Names of linears that share their inputs, in the order in which the block uses them (by the first sample).

        Experts that the first sample does not reach follow at the end, each by itself.
        """
        groups: dict[tuple[int, tuple[int, ...]], list[str]] = {}
        alive = []  # inputs are kept, so that no address is used twice

        def seen(found: tuple[str, ...], inputs: torch.Tensor) -> None:
            alive.append(inputs)
            groups.setdefault((inputs.data_ptr(), tuple(inputs.shape[-1:])), []).extend(found)

        with watching(self.linears, seen):
            self.run(0)
        used = {name for group in groups.values() for name in group}
        rest = [(name,) for name in self.linears if name not in used]
        return (*(tuple(dict.fromkeys(group)) for group in groups.values()), *rest)

    def stages(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """The input groups in steps that follow each other: all experts of a mixture work at the same step."""
        stages: list[tuple[set[str], list[tuple[str, ...]]]] = []
        for group in self.input_groups():
            patterns = {_NUMBER.sub(".*.", name) for name in group}
            # An expert that the first sample does not reach stands alone in its group: gate here, up there.
            known = next((stage for stage in stages if stage[0] & patterns), None)
            if known is None:
                stages.append((patterns, [group]))
            else:
                known[0].update(patterns)
                known[1].append(group)
        return tuple(tuple(groups) for _, groups in stages)

    def output(self, sample: int) -> torch.Tensor:
        """The block's output [length, hidden] for one sample with the weights it has now."""
        return self.run(sample)[0]

    def run(self, sample: int) -> torch.Tensor:
        """The same as [1, length, hidden]."""
        if not self.input_rounding:
            return self._run(sample)

        def rounded(names: tuple[str, ...], inputs: torch.Tensor) -> torch.Tensor:
            return self.input_rounding[names[0]](inputs)

        with watching({name: self.linears[name] for name in self.input_rounding}, rounded):
            return self._run(sample)

    def _check_finite(self, inputs: torch.Tensor, name: str) -> None:
        if not is_finite(inputs):
            raise not_finite(f"The inputs of {name}")


def is_finite(values: torch.Tensor) -> bool:
    """Whether every value is. NaN becomes the smallest and the largest too, which is sooner than asking each."""
    return values.numel() == 0 or all(math.isfinite(end) for end in values.aminmax())


def not_finite(what: str) -> UserError:
    """What to say where hidden states are not."""
    return UserError(
        f"{what} are not finite when the calibration text runs through the model.",
        hint="The checkpoint is damaged or needs another number type. Choose a precision without calibration.",
    )
