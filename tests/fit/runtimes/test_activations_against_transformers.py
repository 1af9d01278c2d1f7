"""The rule for activations against every allocation that transformers makes, followed on the meta device."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from quantgui.checkpoint.catalogue import checkpoint_from_config
from quantgui.checkpoint.config import read_config
from quantgui.fit.model_facts import facts_of
from quantgui.fit.runtimes.transformers import prefill_bytes

pytestmark = pytest.mark.slow

TOKENS = 2048
COMMON: dict[str, Any] = {
    "num_hidden_layers": 3,
    "max_position_embeddings": 65_536,
    "vocab_size": 32_000,
    "num_attention_heads": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CASES: dict[str, dict[str, Any]] = {
    "llama": {"hidden_size": 4096, "intermediate_size": 14_336, "num_key_value_heads": 8},
    "qwen2": {"hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12, "num_key_value_heads": 2},
    "qwen3": {"hidden_size": 4096, "intermediate_size": 12_288, "num_key_value_heads": 8, "head_dim": 128},
    "glm4": {"hidden_size": 4096, "intermediate_size": 13_696, "num_key_value_heads": 2, "head_dim": 128},
    "gpt_neox": {"hidden_size": 2560, "intermediate_size": 10_240},
    "starcoder2": {"hidden_size": 3072, "intermediate_size": 12_288, "num_key_value_heads": 2},
    "phi": {"hidden_size": 2560, "intermediate_size": 10_240},
    "mixtral": {
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
    "qwen3_moe": {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "num_key_value_heads": 4,
        "head_dim": 128,
    },
}


@pytest.mark.parametrize("model_type", CASES)
def test_the_peak_while_a_prompt_is_read(model_type: str) -> None:
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface, AutoConfig, AutoModelForCausalLM

    def without_scores(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> Any:
        batch, heads, tokens, _ = query.shape
        return torch.empty(batch, tokens, heads, value.shape[-1], dtype=query.dtype, device=query.device), None

    AttentionInterface.register("without_scores", without_scores)
    AttentionMaskInterface.register("without_scores", lambda *arguments, **options: None)
    config = AutoConfig.for_model(model_type, **{**COMMON, **CASES[model_type]})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="without_scores")
    with torch.no_grad():
        peak = peak_beside_the_cache(model.eval(), torch.zeros(1, TOKENS, dtype=torch.long, device="meta"))

    shape = facts_of(checkpoint_from_config("", read_config(config.to_dict()))).shape
    assert shape is not None
    assert prefill_bytes(shape, TOKENS) == pytest.approx(peak, rel=0.08)


def peak_beside_the_cache(model: Any, ids: Any) -> int:
    """Bytes of all tensors alive at once during a forward pass, less the cache that is left."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    known = {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())}
    alive, peak = 0, 0

    class Followed(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal alive, peak
            result = func(*args, **(kwargs or {}))
            for leaf in tree_leaves(result):
                storage = leaf.untyped_storage() if hasattr(leaf, "untyped_storage") else None
                if storage is not None and storage._cdata not in known:
                    known.add(storage._cdata)
                    alive += storage.nbytes()
                    weakref.finalize(storage, forget, storage._cdata, storage.nbytes())
            peak = max(peak, alive)
            return result

    def forget(key: int, nbytes: int) -> None:
        nonlocal alive
        known.discard(key)
        alive -= nbytes

    with Followed():
        filled = model(ids, use_cache=True, logits_to_keep=1).past_key_values
    return peak - sum(layer.keys.nbytes + layer.values.nbytes for layer in filled.layers)
