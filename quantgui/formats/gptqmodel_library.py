"""gptqmodel, which loads the GPTQ and AWQ formats: what it needs before it is imported, and its layers made dense."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def prepare_library() -> None:
    """What gptqmodel needs before it is imported: few worker processes, and no compiler."""
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


def with_dense_layers(model: Any, weight_of: Callable[[Any], torch.Tensor]) -> Any:
    """The model with its packed layers replaced by dense ones; `weight_of` gives a packed layer's [outputs, inputs]."""
    import torch

    for name, module in [*model.named_modules()]:
        if hasattr(module, "qweight"):
            dense = torch.nn.Linear(module.in_features, module.out_features, bias=False)
            dense.weight = torch.nn.Parameter(weight_of(module).contiguous(), requires_grad=False)
            if module.bias is not None:
                dense.bias = torch.nn.Parameter(module.bias, requires_grad=False)
            model.set_submodule(name, dense)
    return model
