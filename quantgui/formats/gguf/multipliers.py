"""Falcon-H1's multipliers. transformers multiplies what flows between its layers with them; llama.cpp has no keys for
them and wants them in the weights, as its converter writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.checkpoint.architectures import Keys, falcon_h1
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

_LISTS: Mapping[str, int] = {"mlp_multipliers": 2, "ssm_multipliers": 5}
"""Multipliers of the MLP's gate and output; of what Mamba-2's projection gives: gate, inputs, B, C, steps of time."""


@dataclass(frozen=True, slots=True)
class Multiplied:
    """A view on a tensor whose values are multiplied when they are read; cut and iterated as the tensor would be."""

    view: torch.Tensor
    factor: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the view."""
        return tuple(self.view.shape)

    @property
    def ndim(self) -> int:
        """Of the view."""
        return self.view.ndim

    def numel(self) -> int:
        """Elements of the view."""
        return self.view.numel()

    def element_size(self) -> int:
        """Bytes of a stored element."""
        return self.view.element_size()

    def unbind(self, dimension: int) -> tuple[Multiplied, ...]:
        """The parts along one dimension."""
        return tuple(Multiplied(part, self.factor) for part in self.view.unbind(dimension))

    def __iter__(self) -> Iterator[Multiplied]:
        return iter(self.unbind(0))

    def __getitem__(self, key: slice) -> Multiplied:
        return Multiplied(self.view[key], self.factor)

    def values(self) -> torch.Tensor:
        """The products, float32."""
        return self.view.float() * self.factor


def multiplier(keys: Keys, name: str) -> float:
    """One multiplier, 1 where it is not stated. Raises UserError for what is no number."""
    return _number(name, 1.0 if keys.value(name) is None else keys.value(name))


def multipliers(keys: Keys, name: str) -> tuple[float, ...]:
    """A list of them, ones where it is not stated. Raises UserError for what are no numbers."""
    values = keys.sequence(name)
    return (1.0,) * _LISTS[name] if values is None else tuple(_number(name, value) for value in values)


def lists_fit(keys: Keys) -> bool:
    """Whether the lists are as long as the architecture wants them."""
    return all(len(multipliers(keys, name)) == count for name, count in _LISTS.items())


def multiplied(name: str, tensor: torch.Tensor, keys: Keys) -> tuple[Multiplied, ...]:
    """What becomes of the weight or bias `name` ("attn_q") of Falcon-H1: parts with their multipliers, in order."""
    if name == "ssm_in":
        return _projection(tensor, keys)
    return (Multiplied(tensor, _factor(name, keys)),)


def _factor(name: str, keys: Keys) -> float:
    if name in ("ffn_gate", "ffn_down"):
        return multipliers(keys, "mlp_multipliers")[name == "ffn_down"]
    factor = multiplier(keys, _BY_NAME[name])
    return factor * multiplier(keys, "key_multiplier") if name == "attn_k" else factor


def _projection(tensor: torch.Tensor, keys: Keys) -> tuple[Multiplied, ...]:
    """The rows of gate, inputs, B, C and steps of time, [2 × inner + 2 × groups × state + heads, hidden]."""
    mixer, incoming = falcon_h1.mixer(keys), multiplier(keys, "ssm_in_multiplier")
    states = mixer.groups * mixer.state
    sizes = [mixer.channels, mixer.channels, states, states, mixer.heads]
    if tensor.shape[0] != sum(sizes):
        raise UserError(f"{tensor.shape[0]} rows do not fit Mamba-2's projection of {sum(sizes)}.")
    factors = multipliers(keys, "ssm_multipliers")
    return tuple(Multiplied(rows, incoming * own) for rows, own in zip(tensor.split(sizes), factors, strict=True))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"The config's {name} is {value!r}, but must be a number.")
    return float(value)


_BY_NAME: Mapping[str, str] = {
    **dict.fromkeys(("attn_q", "attn_k", "attn_v"), "attention_in_multiplier"),
    "attn_output": "attention_out_multiplier",
    "ssm_out": "ssm_out_multiplier",
    "token_embd": "embedding_multiplier",
    "output": "lm_head_multiplier",
}
MULTIPLIED = frozenset({*_BY_NAME, "ffn_gate", "ffn_down", "ssm_in"})
"""Names inside the layer, and outside, of the tensors with multipliers."""
