"""What comes before a linear layer and can take over a scale of its inputs, found by structure and proved by running.

A layer computes the same if an input channel is divided by s where it comes from and the layer's column is multiplied
by s. It may come from a norm, or from the rows of another linear layer that reach it without anything in between but
products and positively homogeneous functions: the value matrix before the attention's output, the up matrix before
down, a layer before a ReLU. Candidates are told by shapes; each is tried with random scales on the first sample, and
counts only if the block's output stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantgui.calibration.block import Block
from quantgui.calibration.linear_calls import watching

if TYPE_CHECKING:
    import torch

SAME = 0.01
"""A pair is one if undoing a scale leaves less than this of the change that the scale alone makes."""


@dataclass(frozen=True)
class ScalePair:
    """`source` (a norm's vector or a linear's matrix, by tensor name) feeds the inputs of `linears`.

    `rows` int64 [inputs]: the source's output that each input channel comes from; heads that share keys and values
    take theirs from the same. Gemma's norms multiply by 1 + weight: `offset` is 1.
    """

    linears: tuple[str, ...]
    source: str
    bias: str | None
    rows: torch.Tensor
    is_norm: bool
    offset: float = 0.0

    def shared(self, scales: torch.Tensor) -> torch.Tensor:
        """Scales [inputs] made equal, by their geometric mean, where inputs come from the same output."""
        import torch

        outputs = int(self.rows.max()) + 1
        total = torch.zeros(outputs, device=scales.device).index_add_(0, self.rows, scales.log())
        count = torch.zeros(outputs, device=scales.device).index_add_(0, self.rows, torch.ones_like(scales))
        return (total / count.clamp_(min=1)).exp()[self.rows]

    def source_factors(self, scales: torch.Tensor, outputs: int) -> torch.Tensor:
        """What the source's outputs [outputs] are multiplied by: 1 / s, and 1 where nothing of the pair comes from."""
        import torch

        factors = torch.ones(outputs, device=scales.device)
        factors[self.rows] = 1 / scales
        return factors


def find_pairs(block: Block) -> list[ScalePair]:
    """The pairs of a block with its float weights.

    A group of linears that share their inputs appears at most once. Weights are as before afterwards.
    """
    groups, norms = _data_flow(block)
    config = next((m.config for m in block.module.modules() if hasattr(m, "config")), None)
    pairs = []
    used: list[str] = []
    before = block.output(0)
    for address, (inputs, names) in groups.items():
        is_norm = address in norms
        candidates = [norms[address]] if is_norm else _linear_candidates(block, used, inputs, config)
        for source, bias, rows in candidates:
            offset = _offset(block, source) if is_norm else 0.0
            pair = ScalePair(tuple(names), source, bias, rows, is_norm, offset)
            if not set(names) & {source} and _holds(block, pair, before):
                pairs.append(pair)
                break
        used += names
    return pairs


_Candidate = tuple[str, "str | None", "torch.Tensor"]
"""Source, its bias, and the source's outputs by input channel."""


def _data_flow(block: Block) -> tuple[dict[int, tuple[int, list[str]]], dict[int, _Candidate]]:
    """By address of a tensor: (features, names of the linears it is the input of), and the norm it comes from."""
    import torch

    groups: dict[int, tuple[int, list[str]]] = {}
    norms: dict[int, _Candidate] = {}
    alive = []  # so that no address is used twice
    vectors = {vector.data_ptr(): name for name, vector in block.vectors.items()}

    def seen(found: tuple[str, ...], inputs: torch.Tensor) -> None:
        alive.append(inputs)
        names = groups.setdefault(inputs.data_ptr(), (inputs.shape[-1], []))[1]
        names.extend(name for name in found if name not in names)

    def normed(module: Any, _: Any, output: Any) -> None:
        name, bias = (vectors.get(_address(module, leaf)) for leaf in ("weight", "bias"))
        if name is None or not isinstance(output, torch.Tensor) or output.shape[-1:] != block.vectors[name].shape:
            return
        alive.append(output)
        norms[output.data_ptr()] = (name, bias, torch.arange(output.shape[-1], device=output.device))

    with ExitStack() as stack:
        for module in block.module.modules():
            handle = module.register_forward_hook(normed)
            stack.callback(handle.remove)
        stack.enter_context(watching(block.linears, seen))
        block.output(0)
    return groups, norms


def _linear_candidates(block: Block, used: list[str], inputs: int, config: Any) -> Iterator[_Candidate]:
    """Linears that ran before and whose outputs, or a part of them, have as many channels as the inputs."""
    for name in reversed(used):
        weight = block.linears[name]
        bias = f"{name.removesuffix('weight')}bias"
        for rows in _row_maps(len(weight), inputs, config):
            yield name, bias if bias in block.vectors else None, rows.to(weight.device)


def _row_maps(outputs: int, inputs: int, config: Any) -> Iterator[torch.Tensor]:
    """Which of `outputs` each of `inputs` may come from: all, the second or first half, or the values of attention."""
    import torch

    channel = torch.arange(inputs)
    heads = getattr(config, "num_attention_heads", None) or 1
    if outputs == inputs:
        yield channel
    if outputs == 2 * inputs:  # gate and up in one matrix
        yield inputs + channel
        yield channel
    width = inputs // heads
    for groups in dict.fromkeys((getattr(config, "num_key_value_heads", None) or heads, heads)):
        if inputs % heads or heads % groups:
            continue
        value = channel // width // (heads // groups) * width + channel % width
        if outputs == groups * width and groups != heads:
            yield value
        if outputs == (heads + 2 * groups) * width:  # query, key and value in one matrix
            yield (heads + groups) * width + value
    if outputs == 3 * inputs and not inputs % heads:  # the same head by head, as GPT-NeoX and BLOOM have it
        yield channel // width * 3 * width + 2 * width + channel % width


def _offset(block: Block, norm: str) -> float:
    """1 for a norm that multiplies by 1 + weight, which shows when its weight is zero."""
    import torch

    vector = block.vectors[norm]
    module = next(m for m in block.module.modules() if _address(m, "weight") == vector.data_ptr())
    kept = vector.clone()
    bias = getattr(module, "bias", None)
    vector.zero_()
    output = module(torch.linspace(-1.0, 2.0, 2 * len(vector), device=vector.device).view(1, 2, -1))
    vector.copy_(kept)
    rest = output if bias is None else output - bias
    return 1.0 if bool(rest.abs().max() > 0) else 0.0


def _address(module: Any, leaf: str) -> int:
    parameter = module._parameters.get(leaf)
    return 0 if parameter is None else parameter.data_ptr()


def _holds(block: Block, pair: ScalePair, before: torch.Tensor) -> bool:
    """Whether random scales of the inputs can be undone at the source without a change of the output `before`."""
    import torch

    parameters = {**block.linears, **block.vectors}
    touched = {name: parameters[name].clone() for name in (*pair.linears, pair.source, pair.bias) if name}
    generator = torch.Generator().manual_seed(0)
    scales = pair.shared(torch.exp2(2 * torch.rand(len(pair.rows), generator=generator) - 1).to(pair.rows.device))
    for name in pair.linears:
        parameters[name].mul_(scales)
    scaled = block.output(0)
    multiply_source(parameters, pair, scales)
    undone = block.output(0)
    for name, value in touched.items():
        parameters[name].copy_(value)
    change = float((scaled - before).norm())
    return change > 0 and float((undone - before).norm()) < SAME * change


def multiply_source(parameters: Mapping[str, torch.Tensor], pair: ScalePair, scales: torch.Tensor) -> None:
    """Divides the source's outputs by `scales` [inputs] of the pair, in place."""
    source = parameters[pair.source]
    factors = pair.source_factors(scales, len(source))
    if pair.is_norm:
        source.add_(pair.offset).mul_(factors).sub_(pair.offset)
    else:
        source.mul_(factors.unsqueeze(1))
    if pair.bias is not None:
        parameters[pair.bias].mul_(factors)
