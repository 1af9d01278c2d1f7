"""Which tensors of a checkpoint make up which parameter of its model, as transformers joins and renames them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantgui.types import TensorInfo

if TYPE_CHECKING:
    import torch

PLACING_OPERATIONS = frozenset({"MergeModulelist", "Concatenate"})
"""transformers' conversions that lay tensors side by side without changing the order of their elements."""


@dataclass
class ParameterSource:
    """What one parameter (or persistent buffer) is read from: one tensor as it is, or several by way of a converter."""

    tensors: list[TensorInfo] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    converter: Any = None

    def build(self, name: str, model: Any, tensors: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Parameters by name from the data of `self.tensors`; a converter may give more than `name`."""
        if self.converter is None:
            return {name: tensors[0]}
        converter = deepcopy(self.converter)
        for tensor, info, pattern in zip(tensors, self.tensors, self.patterns, strict=True):
            converter.add_tensor(name, info.name, pattern, lambda tensor=tensor: tensor)
        built = converter.convert(name, model=model, config=model.config)
        return {key: value[0] if isinstance(value, list) else value for key, value in built.items()}

    def places(self, name: str, model: Any) -> dict[str, tuple[slice | int, ...]]:
        """Where each tensor lies in the parameter, by tensor name; empty where elements are reordered.

        Found by building the parameter once from tensors that hold nothing but their own number.
        """
        if self.converter is None:
            return {self.tensors[0].name: ()}
        if {type(operation).__name__ for operation in self.converter.operations} - PLACING_OPERATIONS:
            return {}
        import torch

        numbered = [torch.tensor(i, dtype=torch.int32).expand(info.shape) for i, info in enumerate(self.tensors)]
        built = self.build(name, model, numbered)
        if list(built) != [name]:
            return {}
        return {info.name: _place(built[name], i, info.shape) for i, info in enumerate(self.tensors)}


def _place(numbers: torch.Tensor, number: int, shape: tuple[int, ...]) -> tuple[slice | int, ...]:
    """The index of the box of `numbers` that is filled with `number`; leading dimensions of size 1 are taken out."""
    where = (numbers == number).nonzero()
    low, high = where.amin(dim=0).tolist(), where.amax(dim=0).tolist()
    extra = numbers.ndim - len(shape)
    head = tuple(low[:extra])
    return head + tuple(slice(a, b + 1) for a, b in zip(low[extra:], high[extra:], strict=True))


def parameter_sources(model: Any, tensors: tuple[TensorInfo, ...]) -> dict[str, ParameterSource]:
    """By parameter name, with the rules that transformers applies when it loads this model.

    Tensors that the model has no use for do not appear; nor do parameters that the checkpoint lacks.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

    rules = get_model_conversion_mapping(model)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    state = model.state_dict()
    prefix = model.base_model_prefix
    sources: dict[str, ParameterSource] = {}
    for tensor in sorted(tensors, key=lambda t: dot_natural_key(t.name)):
        name, pattern = rename_source_key(tensor.name, renamings, converters, prefix, state)
        if name not in state and tensor.name in state:
            name, pattern = rename_source_key(tensor.name, [], [], prefix, state)
        if name not in state:
            continue
        source = sources.setdefault(name, ParameterSource())
        source.tensors.append(tensor)
        source.patterns.append(pattern or tensor.name)
        source.converter = by_pattern[pattern] if pattern else None
    return sources
