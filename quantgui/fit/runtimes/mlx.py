"""MLX on Apple silicon.

KV cache: mlx-lm grows it in steps of 256 tokens; sliding layers rotate within their window. A prompt is read in pieces
of 2,048 tokens, so that activations stay small. Metal's own buffers come on top, 0.1 to 0.5 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.fit.model_facts import ModelFacts
from quantgui.fit.runtimes._rules import MIB, Site, derived, estimated, not_known, padded
from quantgui.fit.runtimes.transformers import COMFORTABLE, prefill_bytes
from quantgui.fit.settings import FitSettings, bits_per_element
from quantgui.fit.weights import WeightBytes
from quantgui.types import MemoryKind, MemoryPart, Runtime

CACHE_STEP = 256
PREFILL_STEP = 2048
METAL = (100 * MIB, 250 * MIB, 512 * MIB)


@dataclass(frozen=True, slots=True)
class _Mlx:
    """MLX's rules."""

    runtime: Runtime = Runtime.MLX
    splits_tensors: bool = False
    can_offload: bool = False

    def can_share(self, model: ModelFacts, devices: int) -> bool:
        """Layers lie anywhere."""
        return True

    def kv_dtype(self, asked: str) -> str:
        """Every type; mlx-lm quantizes its cache to 8, 6, 4, 3 or 2 bits."""
        return asked

    def kv_cache(self, model: ModelFacts, settings: FitSettings) -> MemoryPart:
        """Tokens in steps of 256."""
        assert model.cache is not None
        tokens = padded(settings.context, CACHE_STEP)
        note = model.cache_note
        if bits_per_element(settings.kv_dtype) < 16:
            note = f"{note} mlx-lm's --kv-bits quantizes the cache to about this.".strip()
        nbytes = model.cache.nbytes_for(tokens, settings.batch, settings.kv_dtype)
        return derived(MemoryKind.KV_CACHE, nbytes, note)

    def compute(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """Activations of one piece of the prompt."""
        if model.shape is None:
            return not_known()
        tokens = min(settings.context, PREFILL_STEP) * settings.batch
        peak = prefill_bytes(model.shape, tokens)
        return estimated(MemoryKind.COMPUTE, peak, 0.5 * peak, 2 * peak, "A prompt is read in pieces of 2,048 tokens.")

    def overhead(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """Metal's buffers and the process."""
        return estimated(MemoryKind.OVERHEAD, METAL[1], METAL[0], METAL[2], "Metal's buffers and Python.")

    def host_weights(self, weights: WeightBytes) -> int:
        """There is one memory."""
        return 0

    def host_buffers(self, model: ModelFacts, settings: FitSettings) -> int:
        """There is one memory."""
        return 0

    def comfortable(self, capacity: int) -> int:
        """A tenth stays free."""
        return int(COMFORTABLE * capacity)


MLX = _Mlx()
