"""What attention keeps of every token so that it need not be computed again, as far as the model decides it.

Per layer and token: 2 * KV heads * head width elements (grouped-query attention), or the latent and one rotary key
(MLA); layers with a sliding window need the last `window` tokens. How many tokens a program sets aside, and in which
type, is its own business: see `fit/runtimes`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from quantgui.checkpoint.architectures import attention_layers, state_layers
from quantgui.fit.settings import FitSettings, elements_bytes
from quantgui.types import ModelConfig, UserError
from quantgui.units import count

CONVOLUTION_BYTES = 2
STATE_BYTES = 4
"""transformers and vLLM keep the convolution's inputs in the model's 16 bits and the recurrent state in float32."""


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers that keep alike."""

    count: int
    elements_per_token: int
    window: int | None
    index_elements: int = 0  # beside, for the index of sparse attention


@dataclass(frozen=True, slots=True)
class KvCache:
    """What a model keeps per token, and per sequence however long it is. Encoders keep nothing."""

    groups: tuple[LayerGroup, ...]
    convolution_elements: int = 0  # of state-space and linear-attention layers
    recurrent_elements: int = 0

    @property
    def layers(self) -> int:
        """Layers that keep something per token."""
        return sum(group.count for group in self.groups)

    @property
    def largest_layer(self) -> int:
        """Elements per token of the layer that keeps the most of all tokens; 0 where none does."""
        return max((group.elements_per_token for group in self.groups if group.window is None), default=0)

    @property
    def index_elements(self) -> int:
        """Elements per token of all indexes of sparse attention."""
        return sum(group.count * group.index_elements for group in self.groups)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept at all."""
        return not self.groups and not self.convolution_elements and not self.recurrent_elements

    def nbytes(self, settings: FitSettings) -> int:
        """Bytes for all sequences of `settings` where no more than needed is set aside."""
        return self.nbytes_for(settings.context, settings.batch, settings.kv_dtype)

    def nbytes_for(self, tokens: int, sequences: int, kv_dtype: str, index: bool = True) -> int:
        """Bytes for so many sequences of so many tokens each; without `index`, what attention itself keeps."""
        elements = sum(
            group.count
            * (group.elements_per_token + (group.index_elements if index else 0))
            * (tokens if group.window is None else min(tokens, group.window))
            for group in self.groups
        )
        return elements_bytes(elements * sequences, kv_dtype) + sequences * self.state_bytes

    @property
    def state_bytes(self) -> int:
        """Bytes per sequence of the state of constant size."""
        return CONVOLUTION_BYTES * self.convolution_elements + STATE_BYTES * self.recurrent_elements


def kv_cache(config: ModelConfig | None) -> tuple[KvCache | None, str]:
    """The cache of a model and a note on it; None, with the reason, where it is not known for certain."""
    if config is None:
        return None, "The KV cache is not estimated: there is no config."
    try:
        layers = attention_layers(config)
        states = state_layers(config)
    except UserError as error:
        return None, f"The KV cache is not estimated: {error}"
    if layers is None:
        return (
            None,
            f"The KV cache of {config.model_type or 'this architecture'} is not estimated: it is not known here.",
        )
    alike = Counter((layer.elements_per_token, layer.window, layer.index_elements) for layer in layers)
    groups = tuple(LayerGroup(number, *facts) for facts, number in alike.items())
    cache = KvCache(groups, sum(s.convolution for s in states), sum(s.recurrent for s in states))
    return cache, _note(cache, reads=any(layer.of_encoder for layer in layers))


def _note(cache: KvCache, *, reads: bool) -> str:
    if cache.is_empty:
        return "An encoder keeps no cache."
    windows = {group.window for group in cache.groups if group.window}
    notes = [f"Sliding layers attend to the last {count(min(windows))} tokens."] if windows else []
    if reads:
        notes.append("The decoder keeps what the encoder read beside its own: the context is counted for each of both.")
    if cache.convolution_elements or cache.recurrent_elements:
        notes.append("Layers without attention keep a state of constant size instead.")
    if cache.index_elements:
        notes.append("What the index of sparse attention keeps differs between runtimes; 16 bits are assumed.")
    return " ".join(notes)
