"""vLLM: a paged cache, a profile run at start, the same share of every GPU.

KV cache: pages of 16 tokens. Where layers differ (sliding and full, narrow and wide heads), pages have one size and
sliding layers may reserve them for the whole length: 24.54 GiB held 26,800 tokens of Gemma-4-31B, 60 layers of the
widest. Activations are those of the profile run with `max_num_batched_tokens`; Llama-3-8B: 1.26 GiB, beside 0.32 GiB of
CUDA graphs. vLLM sets 0.9 of each GPU aside (`--gpu-memory-utilization`), whatever it needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.fit.kv_cache import KvCache
from quantgui.fit.model_facts import ModelFacts, Shape
from quantgui.fit.runtimes._rules import MIB, SIXTEEN_BITS, Site, SiteKind, derived, estimated, not_known, padded
from quantgui.fit.settings import FitSettings, elements_bytes
from quantgui.fit.weights import WeightBytes
from quantgui.types import MemoryKind, MemoryPart, Runtime

PAGE = 16
"""Tokens of a page."""
BATCHED_TOKENS = (2048, 8192, 16384)
"""`max_num_batched_tokens`: of a server on smaller GPUs, the usual, offline on large ones."""
SAMPLED = 256
"""Sequences whose logits the profile run samples; three float32 copies are alive."""
UTILIZATION = 0.9
NON_TORCH = (160 * MIB, 600 * MIB, 1830 * MIB)
"""CUDA context, cuBLAS, kernels: 0.16 to 1.79 GiB in logs."""
CUDA_GRAPHS = (0, 330 * MIB, 600 * MIB)
NCCL = (330 * MIB, 370 * MIB, 1800 * MIB)
"""More on each GPU where several work together: 342 MB for two, 392 MB for four to eight."""
CPU = (300 * MIB, 600 * MIB, 1500 * MIB)
QUANTIZED = frozenset({"q8_0", "q5_1", "q5_0", "q4_1", "q4_0"})


@dataclass(frozen=True, slots=True)
class _Vllm:
    """vLLM's rules."""

    runtime: Runtime = Runtime.VLLM
    splits_tensors: bool = True
    can_offload: bool = False

    def can_share(self, model: ModelFacts, devices: int) -> bool:
        """Each GPU takes as many attention heads as the others, or vLLM refuses to start
        (`verify_with_parallel_config`); heads of keys and values are dealt out, or repeated, evenly too
        (`QKVParallelLinear`)."""
        if model.shape is None:
            return True
        heads, kv_heads = model.shape.heads, model.shape.kv_heads
        return heads % devices == 0 and (not kv_heads or kv_heads % devices == 0 or devices % kv_heads == 0)

    def kv_dtype(self, asked: str) -> str:
        """16 bits or fp8; fp8 stands for every smaller type."""
        return "fp8" if asked in QUANTIZED else "bf16" if asked == "f32" else asked

    def kv_cache(self, model: ModelFacts, settings: FitSettings) -> MemoryPart:
        """Whole pages for every layer, and the states."""
        cache, dtype = model.cache, self.kv_dtype(settings.kv_dtype)
        assert cache is not None
        tokens = padded(settings.context, PAGE)
        state = settings.batch * cache.state_bytes
        full = settings.batch * tokens * elements_bytes(page_elements(cache), dtype) + state
        needed = settings.batch * tokens * elements_bytes(_full_elements(cache), dtype) + state
        for group in cache.groups:
            kept = min(tokens, padded(group.window, PAGE) + PAGE) if group.window else 0
            needed += settings.batch * kept * elements_bytes(group.count * group.elements_per_token, dtype)
        note = model.cache_note
        if dtype != settings.kv_dtype:
            note = f"{note} vLLM has no {settings.kv_dtype} cache; {dtype} is counted.".strip()
        if needed == full:
            return derived(MemoryKind.KV_CACHE, full, note)
        note = f"{note} vLLM may reserve pages of the widest layer for all layers and the whole length.".strip()
        return estimated(MemoryKind.KV_CACHE, full, needed, full, note)

    def compute(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """The peak of the profile run, on every GPU."""
        if model.shape is None:
            return not_known()
        low, middle, high = (site.devices * profile_bytes(model.shape, tokens, settings) for tokens in BATCHED_TOKENS)
        return estimated(
            MemoryKind.COMPUTE,
            middle,
            low,
            high,
            "Peak of vLLM's profile run with 8,192 tokens (max_num_batched_tokens).",
        )

    def overhead(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """CUDA context and graphs; NCCL where several GPUs share the tensors."""
        if site.kind is SiteKind.CPU:
            return estimated(MemoryKind.OVERHEAD, CPU[1], CPU[0], CPU[2], "Python with PyTorch and vLLM.")
        several = site.devices > 1
        low, middle, high = (
            site.devices * (context + graphs + (nccl if several else 0))
            for context, graphs, nccl in zip(NON_TORCH, CUDA_GRAPHS, NCCL, strict=True)
        )
        note = "CUDA context, CUDA graphs" + (", NCCL" if several else "")
        return estimated(
            MemoryKind.OVERHEAD, middle, low, high, f"{note}. vLLM takes 90 % of each GPU, whatever it needs."
        )

    def host_weights(self, weights: WeightBytes) -> int:
        """Everything lies on the GPU."""
        return 0

    def host_buffers(self, model: ModelFacts, settings: FitSettings) -> int:
        """None to speak of."""
        return 0

    def comfortable(self, capacity: int) -> int:
        """What it takes by default."""
        return int(UTILIZATION * capacity)


VLLM = _Vllm()


def profile_bytes(shape: Shape, batched_tokens: int, settings: FitSettings) -> int:
    """Gate, up and their product beside three hidden states (and one per expert); logits of the sampled tokens."""
    tokens = min(batched_tokens, max(2048, settings.context * settings.batch))
    activations = tokens * (3 * shape.feed_forward + (3 + shape.experts_used) * shape.hidden) * SIXTEEN_BITS
    return activations + SAMPLED * shape.vocab * 3 * 4


def page_elements(cache: KvCache) -> int:
    """Elements per token over all layers; as many as the widest layer's in each where layers of two kinds are paged."""
    index = cache.index_elements
    if len({(group.elements_per_token, group.window) for group in cache.groups}) > 1:
        return cache.layers * max(group.elements_per_token for group in cache.groups) + index
    return sum(group.count * group.elements_per_token for group in cache.groups) + index


def _full_elements(cache: KvCache) -> int:
    return sum(group.count * group.elements_per_token for group in cache.groups if group.window is None)
