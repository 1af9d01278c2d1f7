"""What formats have in common that hold linear layers only: which tensors they refuse, and why."""

from __future__ import annotations

from quantgui.formats.plain import FLOAT_DTYPES
from quantgui.types import ModelConfig, Role, TensorInfo

CONV1D_MODEL_TYPES = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp"})
"""Architectures whose linear layers are transformers' Conv1D: stored transposed, unknown to these formats."""


def linear_objection(tensor: TensorInfo, config: ModelConfig | None, library: str) -> str:
    """Why `tensor` is no linear layer's weight that `library` can load, "" where it is one."""
    if len(tensor.shape) != 2 or not tensor.name.endswith("weight"):
        return "only two-dimensional weights can be packed"
    if tensor.dtype not in FLOAT_DTYPES:
        return f"it is already stored as {tensor.dtype}"
    if tensor.role is Role.EMBEDDING:
        return "the format holds linear layers, not embeddings"
    if config is not None and config.model_type in CONV1D_MODEL_TYPES:
        return f"{config.model_type} uses Conv1D layers, which {library} cannot load"
    if tensor.role is Role.EXPERT:
        return f"transformers fuses the experts into one 3-D parameter, which {library} cannot load"
    return "it is empty" if 0 in tensor.shape else ""
