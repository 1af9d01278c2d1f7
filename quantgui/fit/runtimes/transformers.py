"""transformers: PyTorch's eager modules with a growing cache.

KV cache: `DynamicCache` keeps every token, sliding layers their window (since 4.56), latent attention its latent (since
5). Activations: reading a prompt peaks inside the feed-forward (`Shape.eager_peak`). Versions before 4.45 also computed
the logits of every prompt token, in 16 and in 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.fit.model_facts import ModelFacts, Shape
from quantgui.fit.runtimes._rules import MIB, SIXTEEN_BITS, Site, SiteKind, derived, estimated, not_known
from quantgui.fit.settings import FitSettings, bits_per_element
from quantgui.fit.weights import WeightBytes
from quantgui.types import MemoryKind, MemoryPart, Runtime
from quantgui.units import memory

PREFILL_MOST = 1.35
"""The most that an architecture was seen to need over the rule (norms behind the feed-forward; gpt-oss twice)."""
OLD_LOGITS_BYTES = 6
COMFORTABLE = 0.9
CUDA_CONTEXT = (250 * MIB, 325 * MIB, 1024 * MIB)
METAL = (100 * MIB, 300 * MIB, 700 * MIB)
CPU = (150 * MIB, 300 * MIB, 600 * MIB)
"""Python with PyTorch and transformers loaded."""


@dataclass(frozen=True, slots=True)
class _Transformers:
    """The rules of transformers."""

    runtime: Runtime = Runtime.TRANSFORMERS
    splits_tensors: bool = False
    can_offload: bool = True

    def can_share(self, model: ModelFacts, devices: int) -> bool:
        """Layers lie anywhere."""
        return True

    def kv_dtype(self, asked: str) -> str:
        """Every type; the quantized ones as its quantized caches hold them."""
        return asked

    def kv_cache(self, model: ModelFacts, settings: FitSettings) -> MemoryPart:
        """As many tokens as there are."""
        assert model.cache is not None
        nbytes, note = model.cache.nbytes(settings), model.cache_note
        if bits_per_element(settings.kv_dtype) < 16:
            note = f"{note} transformers needs its quantized cache for this; by default it keeps 16 bits.".strip()
        if not model.cache.index_elements:
            return derived(MemoryKind.KV_CACHE, nbytes, note)
        attention = model.cache.nbytes_for(settings.context, settings.batch, settings.kv_dtype, index=False)
        return estimated(MemoryKind.KV_CACHE, nbytes, attention, nbytes, note)

    def compute(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """The peak while a prompt that fills the context is read."""
        if model.shape is None:
            return not_known()
        tokens = settings.context * settings.batch
        scores = 0 if settings.flash_attention else eager_scores(model.shape, settings)
        peak = prefill_bytes(model.shape, tokens)
        older = memory(old_logits_bytes(model.shape, tokens))
        note = (
            "Peak while a prompt of the whole context is read; less for shorter ones. "
            f"transformers before 4.45 also held the logits of every prompt token, {older} here."
        )
        return estimated(MemoryKind.COMPUTE, peak + scores, 0, PREFILL_MOST * peak + scores, note)

    def overhead(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """CUDA context and the allocator, per GPU; the process where nothing else computes."""
        low, middle, high = {SiteKind.CUDA: CUDA_CONTEXT, SiteKind.METAL: METAL, SiteKind.CPU: CPU}[site.kind]
        note = {
            SiteKind.CUDA: "CUDA context and cuBLAS, about 325 MiB per GPU; PyTorch's allocator may hold more.",
            SiteKind.METAL: "PyTorch's buffers on the shared GPU.",
            SiteKind.CPU: "Python with PyTorch; nothing on a GPU.",
        }[site.kind]
        return estimated(MemoryKind.OVERHEAD, site.devices * middle, site.devices * low, site.devices * high, note)

    def host_weights(self, weights: WeightBytes) -> int:
        """Everything lies on the GPU."""
        return 0

    def host_buffers(self, model: ModelFacts, settings: FitSettings) -> int:
        """None to speak of."""
        return 0

    def comfortable(self, capacity: int) -> int:
        """A tenth stays free for fragments and the desktop."""
        return int(COMFORTABLE * capacity)


TRANSFORMERS = _Transformers()


def prefill_bytes(shape: Shape, tokens: int) -> int:
    """Activations of `tokens` tokens that are read at once."""
    return tokens * shape.eager_peak * SIXTEEN_BITS


def old_logits_bytes(shape: Shape, tokens: int) -> int:
    """What versions before 4.45 add: logits of every prompt token, in 16 bits and in float32."""
    return tokens * shape.vocab * OLD_LOGITS_BYTES


def eager_scores(shape: Shape, settings: FitSettings) -> int:
    """Attention without flash or SDPA kernels: the scores of all heads, for one layer at a time."""
    return settings.batch * shape.heads * settings.context**2 * SIXTEEN_BITS
