"""From the tensors of a Hugging Face checkpoint to the rows of a GGUF tensor: reordered, stacked, shifted, in blocks.

Nothing is copied but the block that is asked for: a transformation is a strided view on the mapped file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.heads import global_head_dim
from quantgui.formats.gguf.metadata.rope import llama3_factors, proportional_factors, rope_of
from quantgui.formats.gguf.multipliers import Multiplied
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.packed_blocks import BLOCK_BYTES, BLOCK_WEIGHTS, PackedBlocks
from quantgui.formats.gguf.views import VIEWS, Change, change_of, inside_layer, packed_view
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import ModelConfig, UserError

if TYPE_CHECKING:
    import torch

_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Rows:
    """The values of one GGUF tensor: the views' elements one after the other, in rows of `columns`, each through
    `change`.

    Of a quantized source the views are its blocks as bytes, `columns` of them in a row of type `type_name`.
    """

    views: tuple[torch.Tensor | PackedBlocks | Multiplied, ...]
    columns: int
    change: Change | None = None
    type_name: str = ""
    number_type: str = ""  # of a tensor of another GGUF file that is not quantized
    is_stack: bool = False  # of experts: no block holds rows of two, since each has an importance of its own

    def blocks(self, elements: int) -> Iterator[tuple[int, torch.Tensor | PackedBlocks | Multiplied]]:
        """(first row, view in the stored dtype) in order, each of about `elements` elements; `values` reads one."""
        first = 0
        for view in self._by_expert():
            for block in _blocks(view, elements, self.columns):
                yield first, block
                first += block.numel() // self.columns

    def _by_expert(self) -> Iterator[torch.Tensor | PackedBlocks | Multiplied]:
        for view in self.views:
            yield from view.unbind(0) if self.is_stack and view.ndim > 2 else (view,)

    def values(self, block: torch.Tensor | PackedBlocks | Multiplied) -> torch.Tensor:
        """A block's values as contiguous float32 [n, columns of the tensor]."""
        if self.type_name:
            return _dequantized(self.stored(block), self.type_name)
        rows = _tensor(block).float().reshape(-1, self.columns)
        return (self.change(rows) if self.change else rows).contiguous()

    def stored(self, block: torch.Tensor | PackedBlocks | Multiplied) -> torch.Tensor:
        """The bytes of a block as they are stored, uint8 [n, bytes per row]."""
        import torch

        return _tensor(block).reshape(-1, self.columns).contiguous().view(torch.uint8)

    def slice(self, first: int, count: int) -> torch.Tensor:
        """Some rows of a tensor that was not reordered, float32 [count, columns]."""
        (view,) = self.views
        return self.values(_tensor(view).reshape(-1, self.columns)[first : first + count])


def _tensor(view: torch.Tensor | PackedBlocks | Multiplied) -> torch.Tensor:
    if isinstance(view, Multiplied):
        return view.values()
    return view.repacked() if isinstance(view, PackedBlocks) else view


def copied_rows(source: torch.Tensor, *, type_name: str = "", number_type: str = "") -> Rows:
    """The rows of a tensor of another GGUF file, which stay in their order.

    `source` has the tensor's shape and `number_type`, or holds blocks of `type_name` as bytes [..., bytes per row].
    """
    columns = source.shape[-1] if source.ndim else 1
    return Rows((source,), columns, type_name=type_name, number_type=number_type, is_stack=source.ndim > 2)


def transformed_rows(made: GgufTensor, sources: Sequence[torch.Tensor], architecture: str, config: ModelConfig) -> Rows:
    """The rows of `made` from its sources, in the order of `ordered_sources`.

    Raises UserError where the sources do not fill the tensor's shape.
    """
    import torch

    columns = made.shape[-1] if made.shape else 1
    if not made.sources:
        return Rows((torch.tensor(_generated(made.name, config), dtype=torch.float32),), columns)
    inside = inside_layer(made.name)
    if made.stored_type:
        codes, scales = sources
        blocks = packed_view(inside, PackedBlocks(codes, scales))
        _check_size(made, sources, blocks.numel() // BLOCK_BYTES * BLOCK_WEIGHTS)
        return Rows((blocks,), blocks.shape[-1] * BLOCK_BYTES, type_name=made.stored_type, is_stack=True)
    views = tuple(sources)
    view = VIEWS.get(architecture, {}).get(inside)
    if view is not None:
        views = tuple(part for source in views for part in _several(view(source, Keys(config))))
    if made.name == "position_embd.weight":  # RoBERTa never uses the first ones
        views = tuple(source[-made.shape[0] :] for source in views)
    _check_size(made, sources, sum(v.numel() for v in views))
    return Rows(views, columns, change_of(architecture, made.name), is_stack=len(made.shape) > 2)


def _check_size(made: GgufTensor, sources: Sequence[torch.Tensor], elements: int) -> None:
    if elements != math.prod(made.shape):
        shapes = ", ".join(str(tuple(source.shape)) for source in sources[:3])
        raise UserError(f"The tensor {made.sources[0]} has an unexpected shape: {shapes}.")


def _several(
    views: torch.Tensor | tuple[torch.Tensor | Multiplied, ...],
) -> tuple[torch.Tensor | Multiplied, ...]:
    return views if isinstance(views, tuple) else (views,)


def _dequantized(blocks: torch.Tensor, type_name: str) -> torch.Tensor:
    import torch

    from quantgui.formats.gguf.kernels import dequantize_rows

    kind = BY_NAME[type_name]
    columns = blocks.shape[1] // kind.block_bytes * kind.block_elements
    return torch.from_numpy(dequantize_rows(type_name, blocks.contiguous().numpy(), columns))


def ordered_sources(made: GgufTensor) -> tuple[str, ...]:
    """Names of the checkpoint's tensors, experts and heads by their number: files list them as texts (1, 10, 2)."""
    if len(made.sources) < 2:
        return made.sources
    return tuple(sorted(made.sources, key=lambda name: [int(p) if p.isdecimal() else p for p in _NUMBER.split(name)]))


def _generated(name: str, config: ModelConfig) -> Sequence[float]:
    """Values of a tensor that the config alone determines. Raises UserError for settings that are no numbers."""
    keys = Keys(config)
    rope = rope_of(keys)
    if name == "rope_freqs.weight":
        proportional = rope.kind == "proportional"
        return proportional_factors(rope, global_head_dim(keys)) if proportional else llama3_factors(keys, rope)
    factors = rope.settings.get(name.removeprefix("rope_factors_").removesuffix(".weight") + "_factor")
    if not isinstance(factors, list) or not all(isinstance(factor, int | float) for factor in factors):
        raise UserError(f"The config does not state the factors of {name}.")
    return factors


def _blocks(
    view: torch.Tensor | PackedBlocks | Multiplied, elements: int, columns: int
) -> Iterator[torch.Tensor | PackedBlocks | Multiplied]:
    """Parts of a view of any number of dimensions in order: whole rows, none much larger than `elements`."""
    if view.numel() <= max(elements, columns):
        yield view
        return
    inner = view.numel() // view.shape[0]
    if inner > elements and view.ndim > 2:
        for part in view:
            yield from _blocks(part, elements, columns)
        return
    whole = max(1, columns // inner)  # of the view's rows make one of the tensor's: a vector's elements
    step = max(whole, elements // inner // whole * whole)
    for first in range(0, view.shape[0], step):
        yield view[first : first + step]
