"""The order in which data flows through the modules of a model: files list them by the alphabet."""

from __future__ import annotations

import re
from functools import cache

from quantgui.types import TensorInfo, TensorReport

_STAGES = tuple(
    re.compile(pattern)
    for pattern in (
        r"embed|token types|position",
        r"attn norm$|norm 1$",
        r"(?:attn|indexer)\b|(?:q|k|v|q_a|kv_a|kv_b) norm|rope",
        r"ssm\b|conv\b",
        r"post-attn norm$",
        r"cross\b",
        r"mlp norm$|norm 2$",
        r"router",
        r"mlp\b",
        r"shared expert",
        r"expert",
        r"post-mlp norm$",
    )
)
_LAST_STAGES = (re.compile(r"final norm|encoder norm"), re.compile(r"head|pooler"))
_PARTS = (
    *("in", "in_qkvz", "in_qkv", "in_ba", "in_z", "in_a", "in_b", "conv", "x", "dt", "a", "d"),
    *("qkv", "q_a", "q_b", "q", "kv_a", "kv_b", "k_b", "k", "v_b", "v", "sinks", "o"),
    *("router", "gate_up", "gate", "up", "down", "out"),
)
_PART = re.compile(rf"(?:^|\b)({'|'.join(sorted(_PARTS, key=len, reverse=True))})\b")
_EXPERT = re.compile(r"expert (\d{1,9})\b")

Place = tuple[int, int, int, str]
"""Stage of the layer, number of the expert, part of the stage, and the name itself among equals."""


@cache
def place(module: str) -> Place:
    """Where a module (as `TensorInfo.module` names it) stands in the flow; unknown ones stand behind the known."""
    unknown = len(_STAGES)
    stage = next((i for i, pattern in enumerate(_STAGES) if pattern.match(module)), unknown)
    if stage == unknown:
        last = (i for i, pattern in enumerate(_LAST_STAGES, unknown + 1) if pattern.match(module))
        stage = next(last, unknown)
    expert = _EXPERT.search(module)
    part = _PART.search(module)
    return stage, int(expert[1]) if expert else -1, _PARTS.index(part[1]) if part else len(_PARTS), module


def place_of(tensor: TensorInfo | TensorReport) -> tuple[int, Place]:
    """Sorts all tensors of a model: embeddings, then layer by layer, then what stands behind the layers."""
    where = place(tensor.module or tensor.name)
    if tensor.layer is not None:
        return tensor.layer, where
    return (-1 if where[0] < len(_STAGES) else 1 << 30), where
