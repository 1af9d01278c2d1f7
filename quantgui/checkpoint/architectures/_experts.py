"""How many of its experts a mixture uses per token, under the many names configs have for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quantgui.checkpoint.architectures._keys import Keys
from quantgui.types import UserError

_COUNT = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
_USED = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "moe_top_k",
    "moe_k",
    "top_k_experts",
    "num_selected_experts",
)
_USED_BY_DEFAULT: Mapping[str, int] = {
    "granitemoe": 8,
    "granitemoehybrid": 8,
    "granitemoeshared": 8,
    "jamba": 2,
    "llama4": 1,
    "llama4_text": 1,
    "minimax": 2,
    "mixtral": 2,
    "olmoe": 8,
    "phimoe": 2,
    "qwen2_moe": 4,
    "qwen3_moe": 8,
}
"""What transformers takes where the config states nothing."""


@dataclass(frozen=True, slots=True)
class ExpertUse:
    """A token passes through `used` of `count` routed experts; `width` neurons inside them and the shared ones."""

    used: int
    count: int
    width: int


def experts_per_token(keys: Keys) -> ExpertUse | None:
    """What a mixture uses per token; None for dense models. Raises UserError where more are used than there are."""
    count = next((number for number in (keys.count(name) for name in _COUNT) if number), 0)
    used = keys.optional(*_USED) or _USED_BY_DEFAULT.get(keys.model_type)
    if count < 2 or used is None:
        return None
    if used > count:
        raise UserError(f"The config states {used} experts per token, but only {count} experts.")
    inner = keys.optional("moe_intermediate_size", "intermediate_size") or 0
    shared = keys.optional("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size")
    return ExpertUse(used, count, used * inner + (shared or keys.count("n_shared_experts") * inner))
