"""Squared inputs of the weights, added up block by block, and as the entries of an importance matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from quantgui.calibration.block import Block
from quantgui.calibration.latent_attention import watching_heads
from quantgui.calibration.weights import expert_name
from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.imatrix import TensorImportance, entry_shape
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.packed_blocks import CODES
from quantgui.formats.gguf.transform import ordered_sources
from quantgui.formats.gguf.views import columns_view, inside_layer
from quantgui.types import ModelConfig

if TYPE_CHECKING:
    import torch

Sums = dict[str, TensorImportance]
"""In float64: by the checkpoint's tensor name, by `expert_name` of one that holds all experts, by `_head_inputs`."""

_LATENT_KEYS, _LATENT_VALUES = "attn_k_b", "attn_v_b"


def latent_widths(tensors: Iterable[GgufTensor]) -> dict[str, int]:
    """The width of a head's keys, by the checkpoint's name of a matrix that makes keys and values from latents."""
    return {made.sources[0]: made.shape[-1] for made in tensors if inside_layer(made.name) == _LATENT_KEYS}


def block_sums(block: Block, latent: Mapping[str, int]) -> Sums:
    """The sums of one block, which is done after it; linears that share their inputs share the sum.

    `latent` is what `latent_widths` says.
    """
    groups = block.input_groups()
    totals = _Totals()
    with ExitStack() as stack:
        for name in latent.keys() & block.linears.keys():

            def heads(queries: torch.Tensor, means: torch.Tensor, name: str = name) -> None:
                totals.add(_head_inputs(name, _LATENT_KEYS), queries[..., : latent[name]])
                totals.add(_head_inputs(name, _LATENT_VALUES), means)

            stack.enter_context(watching_heads(block.linears[name], heads))
        names = [*(group[0] for group in groups), *block.experts]
        block.capture_finally(lambda name, inputs: totals.add(name, inputs[None]), names)
    found = totals.sums()
    shared = {name: group[0] for group in groups for name in group[1:]}
    return found | {name: found[first] for name, first in shared.items() if first in found}


class _Totals:
    """Adds up squared inputs [matrices, tokens, columns] by name."""

    def __init__(self) -> None:
        self._squares: dict[str, torch.Tensor] = {}
        self._tokens: Counter[str] = Counter()

    def add(self, name: str, inputs: torch.Tensor) -> None:
        import torch

        squares = inputs.square().sum(1, dtype=torch.float64)
        self._squares[name] = self._squares[name] + squares if name in self._squares else squares
        self._tokens[name] += inputs.shape[1]

    def sums(self) -> Sums:
        return {
            name: TensorImportance(squares.cpu().numpy(), np.full(len(squares), self._tokens[name], np.float64))
            for name, squares in self._squares.items()
        }


def entries_of(
    tensors: Iterable[GgufTensor], sums: Sums, architecture: str, config: ModelConfig
) -> dict[str, TensorImportance]:
    """The sums under the names of GGUF, in the order of the file's columns; experts that no token reached have zeros.

    A tensor whose inputs were not seen, or not as llama.cpp uses them, has no entry.
    """
    entries = {}
    for tensor in tensors:
        parts = _parts(tensor)
        if not any(name in sums for name in parts):
            continue
        matrices, columns = entry_shape(tensor)
        unreached = TensorImportance(np.zeros((1, columns)), np.zeros(1))
        found = [sums.get(name, unreached) for name in parts]
        if sum(len(part.counts) for part in found) != matrices or {part.sums.shape[1] for part in found} != {columns}:
            continue
        squares = _in_file_order(np.concatenate([part.sums for part in found]), tensor, architecture, config)
        counts = np.concatenate([part.counts for part in found])
        entries[tensor.name] = TensorImportance(squares.astype(np.float32), counts.astype(np.float32))
    return entries


def _parts(tensor: GgufTensor) -> tuple[str, ...]:
    """Names of the sums that make up a tensor's entry: of its sources, of one source's experts, of its heads."""
    sources, inside = ordered_sources(tensor), inside_layer(tensor.name)
    if inside in (_LATENT_KEYS, _LATENT_VALUES):
        return (_head_inputs(sources[0], inside),)
    if len(tensor.shape) > 2 and (len(sources) == 1 or tensor.stored_type):
        whole = sources[0].removesuffix(CODES) if tensor.stored_type else sources[0]
        return tuple(expert_name(whole, number) for number in range(tensor.shape[0]))
    return sources


def _head_inputs(name: str, inside: str) -> str:
    """What the sums [heads, columns] of a GGUF tensor are called that is made of a part of the tensor `name`."""
    return f"{name}[{inside}]"


def _in_file_order(squares: np.ndarray, tensor: GgufTensor, architecture: str, config: ModelConfig) -> np.ndarray:
    """Sums [matrices, columns] of the checkpoint's columns as those of the file's."""
    import torch

    view = columns_view(architecture, tensor.name)
    if view is None:
        return squares
    ordered = view(torch.from_numpy(squares), Keys(config))
    assert isinstance(ordered, torch.Tensor)
    return ordered.reshape(squares.shape).numpy()
