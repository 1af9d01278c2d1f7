"""Watches matrix products with known weights, wherever the model makes them: Linear, Conv1D, experts of a mixture."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Seen = Callable[[tuple[str, ...], "torch.Tensor"], "torch.Tensor | None"]
"""Told the tensor names that one product uses, and its inputs [..., in_features]; may give others in their place."""


@cache
def _products() -> dict[Any, tuple[int, int]]:
    """Positions of (inputs, weight) among the arguments of torch's products."""
    import torch

    return {
        torch.nn.functional.linear: (0, 1),
        torch.addmm: (1, 2),
        torch.matmul: (0, 1),
        torch.Tensor.matmul: (0, 1),
        torch.Tensor.__matmul__: (0, 1),
    }


def watching(weights: Mapping[str, torch.Tensor], seen: Seen) -> Any:
    """A context manager; within it `seen` is called before each product with one of `weights`, known by address.

    One product may use several: the gate and up matrices of an expert, which transformers joins while loading.
    """
    from torch.overrides import TorchFunctionMode

    by_address = sorted((weight.data_ptr(), name) for name, weight in weights.items())
    addresses = [address for address, _ in by_address]

    def names_in(weight: torch.Tensor) -> tuple[str, ...]:
        first = weight.data_ptr()
        low = bisect_left(addresses, first)
        high = bisect_right(addresses, first + weight.numel() * weight.element_size() - 1)
        return tuple(name for _, name in by_address[low:high])

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
            if func in _products():
                place, weight_place = _products()[func]
                names = names_in(args[weight_place])
                if names and (other := seen(names, args[place])) is not None:
                    args = (*args[:place], other, *args[place + 1 :])
            return func(*args, **(kwargs or {}))

    return Watch()
