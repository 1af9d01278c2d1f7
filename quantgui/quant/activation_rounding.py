"""What becomes of a layer's inputs where activations are quantized: the simulation of what the runtimes compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantgui.schemes.scheme import Activations

if TYPE_CHECKING:
    import torch

LARGEST_FLOAT8 = 448.0
LARGEST_CODE = 127.0


def static_scale(largest: torch.Tensor, activations: Activations) -> torch.Tensor:
    """The float32 scale [1] for inputs whose largest magnitude (on calibration text) is the scalar `largest`."""
    levels = LARGEST_CODE if activations.number == "int" else LARGEST_FLOAT8
    return (largest / levels).clamp(min=1e-12).reshape(1)


def round_inputs(inputs: torch.Tensor, activations: Activations, scale: torch.Tensor | None) -> torch.Tensor:
    """Inputs [..., features] to 8 bits and back, float32; `scale` [1] where it is static, else found per token.

    Dynamic integer scales span 255 / 2 steps, as compressed-tensors and vLLM define them.
    """
    import torch

    if scale is None:
        grouped = inputs.unflatten(-1, (-1, activations.group_size or inputs.shape[-1]))
        largest = grouped.abs().amax(dim=-1, keepdim=True)
        levels = (2 * LARGEST_CODE + 1) / 2 if activations.number == "int" else LARGEST_FLOAT8
        wide = torch.where(largest > 0, largest / levels, 1.0)
    else:
        grouped, wide = inputs, scale.float()
    scaled = grouped / wide
    if activations.number == "int":
        rounded = scaled.round().clamp_(-LARGEST_CODE - 1, LARGEST_CODE)
    else:
        rounded = scaled.clamp_(-LARGEST_FLOAT8, LARGEST_FLOAT8).to(torch.float8_e4m3fn).float()
    return (rounded * wide).view(inputs.shape)
