"""Linear layers whose forward pass rounds their weight, by optimum's quanto, onto the very grid that will be written.

quanto's own scale searches do not fit the formats (its 4-bit shifts are floats, its scales are not rounded to the
storage dtype), so its quantizers are given our scales and zero-points: its dequantized weights then equal ours bit for
bit (`tests/pipeline/training/test_fake_quantized.py`). Its backward pass is the straight-through one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING, Any

from quantgui.checkpoint.tensor_data import torch_dtype
from quantgui.quant.method import RowArithmetic
from quantgui.quant.registry import arithmetic
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.scheme import Granularity, Scheme

if TYPE_CHECKING:
    import torch

QUANTO_TYPES: Mapping[int, str] = {2: "qint2", 4: "qint4", 8: "qint8"}
"""quanto's name of a signed integer by its bits."""


@dataclass(frozen=True)
class FileScales:
    """Stands where quanto expects an optimizer of scales: gives those that the file will hold, for the weight as it is.

    Called with a float32 weight [rows, columns]; the answer is quanto's layout, [rows * groups, 1].
    """

    arithmetic: RowArithmetic
    dtype: torch.dtype  # of the stored scales
    bits: int

    def __call__(self, base: torch.Tensor, **_: object) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Scales float32, and uint8 codes of zero (None at 8 bits, which are symmetric in quanto)."""
        import torch

        quantized = self.arithmetic.quantize(base.detach(), self.dtype, None)
        assert quantized.scale is not None
        scale = quantized.scale.to(base.dtype).reshape(-1, 1)
        if self.bits == 8:
            return scale, None
        offset = 1 << (self.bits - 1)
        if quantized.zero_point is None:
            return scale, torch.full_like(scale, offset, dtype=torch.uint8)
        return scale, (quantized.zero_point.to(torch.int16) + offset).to(torch.uint8).reshape(-1, 1)


def fake_quantize(model: Any, assignments: Mapping[str, Assignment]) -> dict[str, torch.nn.Parameter]:
    """Replaces the linear layers of the assigned weights, in place; returns their float32 parameters by tensor name.

    `model` is a float32 transformers model. Weights that are no linear layer of it under their own name are left out.
    Every other parameter is frozen.
    """
    import torch
    from optimum.quanto import quantize

    for parameter in model.parameters():
        parameter.requires_grad_(False)
    trained = {}
    modules = dict(model.named_modules())
    for name, assignment in assignments.items():
        path = name.removesuffix(".weight")
        module = modules.get(path)
        if type(module) is not torch.nn.Linear or tuple(module.weight.shape) != assignment.tensor.shape:
            continue
        scheme = assignment.scheme
        assert scheme is not None
        scales = FileScales(arithmetic(scheme), torch_dtype(assignment.tensor.dtype), scheme.bits)
        quantize(model, weights=QUANTO_TYPES[scheme.bits], optimizer=_as_optimizer(scales), include=escape(path))
        layer = model.get_submodule(path)
        layer.weight_group_size = _group_size(scheme)
        layer.weight.requires_grad_(True)
        trained[name] = layer.weight
    return trained


def _as_optimizer(scales: FileScales) -> Any:
    """quanto calls its optimizers and asks of them nothing else."""
    return scales


def _group_size(scheme: Scheme) -> int | None:
    return scheme.group_size if scheme.granularity is Granularity.GROUP else None
