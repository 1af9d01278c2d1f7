"""What a format's file states about itself: who loads it, what config.json must say, how the library makes it dense."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantgui.schemes.assignment import Assignment
from quantgui.schemes.scheme import Scheme

if TYPE_CHECKING:
    import torch


EXTRAS: Mapping[str, str] = {"gptqmodel": "gptq"}
"""Libraries that are not installed with this package, and the extra (pyproject.toml) that brings them."""


@dataclass(frozen=True)
class Format:
    """One way to lay a quantized checkpoint out. The callables that take or give tensors run in the child."""

    id: str  # the module's name, and `Storage.format`
    library: str  # distribution that transformers needs to load it, "" where transformers alone does
    quantization_config: Callable[[Sequence[Assignment]], dict[str, Any]]
    """The `quantization_config` of config.json."""
    mix_objection: Callable[[Sequence[Assignment]], str]
    """Why these assignments, of this format and casts alone, cannot share a checkpoint, "" where they can."""
    dense_model: Callable[[Callable[..., Any]], Any]
    """The reloaded model with dense weights; the argument loads it with the options it is given."""
    dense_layer: Callable[[Scheme, Mapping[str, torch.Tensor]], torch.Tensor]
    """One layer's weight as the library dequantizes its stored parts."""
    loads_on_meta: bool = True
    """Whether transformers can compare the keys on the meta device, without the weights."""
    stays_packed: bool = True
    """Whether transformers computes with the packed weights; else it makes them dense at the first forward pass."""

    @property
    def installation(self) -> str:
        """The command that adds the library: by the extra of this package that pins its version, where there is one."""
        extra = EXTRAS.get(self.library)
        return f"pip install {self.library}" if extra is None else f"pip install quantgui[{extra}]"
