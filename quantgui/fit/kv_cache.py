"""Bytes of the KV cache: what attention keeps of every token so that it need not be computed again.

Per sequence, the sum over layers of kept elements * tokens kept * bytes per element. Grouped-query attention keeps
2 * KV heads * head width, latent attention (MLA) its latent and one rotary key, and sliding-window layers the last
`window` tokens, as transformers' DynamicCache does. Checked against runtimes' logs in the tests.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from quantgui.checkpoint.architectures import attention_layers, state_layers
from quantgui.fit.settings import KV_TYPES, MAX_CONTEXT, FitSettings
from quantgui.types import ModelConfig, UserError
from quantgui.units import count

STATE_BYTES = 4
"""llama.cpp keeps the state of state-space and linear-attention layers in float32, whatever the cache's dtype."""


@dataclass(frozen=True, slots=True)
class _Layers:
    """Layers that keep alike."""

    count: int
    elements_per_token: int
    window: int | None


@dataclass(frozen=True, slots=True)
class KvCache:
    """What a model keeps per token. Encoders keep nothing."""

    groups: tuple[_Layers, ...]
    state_elements: int = 0  # per sequence, of state-space and linear-attention layers, however long it is

    def nbytes(self, settings: FitSettings) -> int:
        """Bytes for all sequences of `settings`."""
        return self._nbytes(settings.context, settings.batch, settings.kv_dtype)

    def longest_context(self, budget: int, settings: FitSettings) -> int:
        """The most tokens per sequence whose cache stays within `budget` bytes; 0 where not even one does."""
        low, high = 0, MAX_CONTEXT
        while low < high:
            middle = (low + high + 1) // 2
            if self._nbytes(middle, settings.batch, settings.kv_dtype) <= budget:
                low = middle
            else:
                high = middle - 1
        return low

    def _nbytes(self, context: int, batch: int, kv_dtype: str) -> int:
        block, block_bytes = KV_TYPES[kv_dtype]
        elements = 0
        for group in self.groups:
            tokens = context if group.window is None else min(context, group.window)
            elements += group.count * group.elements_per_token * tokens
        return -(-elements * batch * block_bytes // block) + batch * self.state_elements * STATE_BYTES


def kv_cache(config: ModelConfig | None) -> tuple[KvCache | None, str]:
    """The cache of a model and a note on it; None, with the reason, where it is not known for certain."""
    if config is None:
        return None, "The KV cache is not estimated: there is no config."
    try:
        layers = attention_layers(config)
        state = sum(layer.elements for layer in state_layers(config))
    except UserError as error:
        return None, f"The KV cache is not estimated: {error}"
    if layers is None:
        return (
            None,
            f"The KV cache of {config.model_type or 'this architecture'} is not estimated: it is not known here.",
        )
    if any(layer.index_elements for layer in layers):
        return None, "The KV cache is not estimated: what the index of sparse attention keeps differs between runtimes."
    alike = Counter((layer.elements_per_token, layer.window) for layer in layers)
    groups = tuple(_Layers(number, elements, window) for (elements, window), number in alike.items())
    if not groups and not state:
        return KvCache(()), "An encoder keeps no cache."
    windows = {group.window for group in groups if group.window}
    if windows and "general.architecture" in config.raw:
        return None, "The KV cache is not estimated: how llama.cpp keeps sliding windows is not modelled yet."
    note = f"Sliding layers keep their last {count(min(windows))} tokens." if windows else ""
    if state:
        note = f"{note} Layers without attention keep a state of constant size instead.".strip()
    return KvCache(groups, state), note
