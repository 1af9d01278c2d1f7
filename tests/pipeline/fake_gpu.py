"""A device that computes like the CPU and refuses what a GPU refuses: to mix with tensors that lie elsewhere.

Its tensors are a subclass of torch's that says "cuda:0". Only for one thread: worker threads do not see `fake_gpu`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")
_MOVES = {torch.Tensor.to, torch.Tensor.cpu}
_MAY_MIX = {"copy_", "__setitem__", "__getitem__", "__set__"}
"""Copies go from device to device, and indices may lie on the CPU."""


class OnGpu(torch.Tensor):
    """A tensor that says that it lies on the fake GPU."""

    device = property(lambda self: GPU)  # pyright: ignore[reportAssignmentType, reportIncompatibleVariableOverride]

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The function on the CPU; its result lies on the GPU, unless it was moved."""
        named = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, named)) if isinstance(leaf, torch.Tensor)]
        elsewhere = any(not isinstance(t, cls) and t.ndim and not t.is_meta for t in tensors)
        target = _target(func, args, named, GPU)
        name = getattr(func, "__name__", "")
        if elsewhere and func not in _MOVES and name not in _MAY_MIX:
            raise RuntimeError(f"Expected all tensors to be on the same device in {name}")
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*_on_cpu(args), **_on_cpu(named))
            if target != GPU and isinstance(result, cls):
                return result.as_subclass(torch.Tensor).clone()
        changes_another = name in _MAY_MIX and not isinstance(args[0], cls)
        return result if target != GPU or changes_another else tree_map(_moved, result)


class fake_gpu(TorchFunctionMode):  # noqa: N801 - a context manager
    """Within it tensors can be made on `GPU` and moved there."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What makes or moves tensors to the GPU gives `OnGpu`; everything else is as ever."""
        named = dict(kwargs or {})
        is_new = not any(isinstance(leaf, OnGpu) for leaf in tree_leaves((args, named)))
        if is_new and _target(func, args, named, CPU) == GPU:
            made = func(*_on_cpu(args), **_on_cpu(named))
            return _moved(made.clone() if func in _MOVES else made)
        return func(*args, **named)


class OneThread:
    """Stands where a pool of threads is expected."""

    def __init__(self, workers: int) -> None:
        pass

    def __enter__(self) -> OneThread:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """One after the other."""
        return map(function, items)


def _target(func: Any, args: tuple, named: Mapping[str, Any], otherwise: torch.device) -> torch.device:
    """Where the result of a function lies that names a device, or moves to another tensor's."""
    if func is torch.Tensor.cpu:
        return CPU
    places = (*args[1:], named.get("device")) if func in _MOVES else (named.get("device"),)
    found = [place if isinstance(place, torch.device) else None for place in places]
    return next((place for place in found if place is not None), otherwise)


def _on_cpu(values: Any) -> Any:
    return tree_map(lambda value: CPU if isinstance(value, torch.device) else value, values)


def _moved(value: Any) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return value.as_subclass(OnGpu) if type(value) is torch.Tensor else value
