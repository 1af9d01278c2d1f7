"""What formats have in common that hold linear layers only: which tensors they refuse, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quantgui.formats.plain import FLOAT_DTYPES
from quantgui.schemes.scheme import Granularity, Scheme
from quantgui.types import ModelConfig, Role, TensorInfo

CONV1D_MODEL_TYPES = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp"})
"""Architectures whose linear layers are transformers' Conv1D: stored transposed, unknown to these formats."""

EMBEDDING = re.compile(r"(?:^|[._])(?:embeddings?|embed_\w+|relative_attention_bias)\.weight$")
"""Look-up tables by their module's name, where the role does not tell: towers, relative positions."""

ROUTED_EXPERT = re.compile(r"(?:^|\.)experts\.\d+\.")
"""A matrix of one expert among several; transformers joins them into one 3-D parameter while it loads them."""


def linear_objection(tensor: TensorInfo, config: ModelConfig | None, library: str, experts: str = "") -> str:
    """Why `tensor` is no linear layer's weight that `library` can load, "" where it is one.

    `experts` says why the matrices of experts are refused, "" where they are not.
    """
    if len(tensor.shape) != 2 or tensor.name.rpartition(".")[2] != "weight":
        return "only two-dimensional weights can be packed"
    if tensor.dtype not in FLOAT_DTYPES:
        return f"it is already stored as {tensor.dtype}"
    if tensor.role is Role.EMBEDDING or (tensor.role is not Role.HEAD and EMBEDDING.search(tensor.name)):
        return "the format holds linear layers, not embeddings"
    if config is not None and config.model_type in CONV1D_MODEL_TYPES:
        return f"{config.model_type} uses Conv1D layers, which {library} cannot load"
    if ROUTED_EXPERT.search(tensor.name) and experts:
        return experts
    return "it is empty" if 0 in tensor.shape else ""


def group_objection(scheme: Scheme, tensor: TensorInfo, library: str, sizes: Sequence[int]) -> str:
    """Why `library`, which takes groups of `sizes`, or the tensor cannot have scales of this extent, else ""."""
    if scheme.granularity is Granularity.GROUP and scheme.group_size not in sizes:
        return f"{library} knows groups of {', '.join(map(str, sizes))}, not of {scheme.group_size}"
    try:
        scheme.scale_shape(tensor.shape)
    except ValueError as error:
        return str(error)
    return ""
