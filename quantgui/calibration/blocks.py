"""Which part of a model is the stack of equal blocks: found by structure, not by a table of names."""

from __future__ import annotations

from typing import Any

from quantgui.types import UserError


def find_blocks(model: Any) -> tuple[str, Any]:
    """The dotted name and the ModuleList of the model's blocks: the list that holds the most parameters.

    A list of experts lies inside a block and so holds fewer; of two equal ones the outer is taken. Raises UserError
    where the model has no such list.
    """
    import torch

    found: list[tuple[int, int, str, torch.nn.ModuleList]] = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module):
            held = sum(parameter.numel() for parameter in module.parameters())
            found.append((held, -name.count("."), name, module))
    if not found:
        raise UserError(
            f"No stack of layers was found in this model ({type(model).__name__}), so it cannot be calibrated.",
            hint="Choose a precision that needs no calibration.",
        )
    _, _, name, blocks = max(found, key=lambda entry: entry[:2])
    return name, blocks
