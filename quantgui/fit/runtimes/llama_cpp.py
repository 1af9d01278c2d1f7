"""llama.cpp, and what is built on it (Ollama, LM Studio).

KV cache: `llama-kv-cache.cpp` and `llama-kv-cache-iswa.cpp`. Cells are padded to 256 per stream; a unified cache is one
stream for all sequences, otherwise each has its own. Sliding layers keep the window of every sequence in the stream and
one micro-batch. (Keeping them in f16 beside a quantized cache, pull request 21277, was taken back one day later.) The
state of recurrent layers is float32, one per sequence.

Compute buffers: read off the logs of builds of 2026; the band reaches to those of 2024 and 2025, which also held the
logits of a whole micro-batch. Beside the buffers: the CUDA context with cuBLAS was measured at 320 to 330 MiB.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.fit.model_facts import ModelFacts, Shape
from quantgui.fit.runtimes._rules import MIB, Site, SiteKind, derived, estimated, not_known, padded
from quantgui.fit.settings import FitSettings, bits_per_element, elements_bytes
from quantgui.fit.weights import WeightBytes
from quantgui.types import GIB, MemoryKind, MemoryPart, Runtime
from quantgui.units import memory

CELLS = 256
"""The cache is set aside in steps of so many tokens."""
MICRO_BATCH = 512
"""Tokens that are computed at once: `-ub`, by default 512."""
STATE_BYTES = 4
ACTIVATIONS = 3.5
"""Hidden states of a micro-batch that are alive at once in builds of 2026; Qwen3.6-27B's 36 MiB at a short context."""
F32, F16 = 4, 2
LATENT_PER_CONTEXT = (0.94, 1.25)
"""Latent attention: bytes of scratch per token of context, times the hidden size: measured, and to plan with."""
PIPELINE_COPIES = 4
"""With layers on several GPUs the scheduler keeps four copies of what flows between them."""
MARGIN = GIB
"""What `--fit` leaves free on every device."""
CUDA_CONTEXT = (250 * MIB, 325 * MIB, 457 * MIB)
EXTRA_GPU_MOST = 1_000_000_000
"""What an extra GPU was seen to hold in a layer split, its context included."""
PROJECTOR = 1.4
"""Memory of an mmproj file over its size while an image is read: 1.3 to 1.4 measured."""
METAL = (100 * MIB, 200 * MIB, 512 * MIB)
CPU = (30 * MIB, 60 * MIB, 200 * MIB)


@dataclass(frozen=True, slots=True)
class Buffers:
    """Compute buffers of one device."""

    layers: int  # activations of a micro-batch, the mask or the scores, and scratch, while layers are computed
    logits: int  # when they are done, in the same memory

    @property
    def nbytes(self) -> int:
        """Bytes set aside."""
        return max(self.layers, self.logits)


@dataclass(frozen=True, slots=True)
class _LlamaCpp:
    """llama.cpp's rules."""

    runtime: Runtime = Runtime.LLAMA_CPP
    splits_tensors: bool = False
    can_offload: bool = True

    def can_share(self, model: ModelFacts, devices: int) -> bool:
        """Layers lie anywhere."""
        return True

    def kv_dtype(self, asked: str) -> str:
        """llama.cpp has no fp8 cache; q8_0 is its nearest."""
        return "q8_0" if asked == "fp8" else asked

    def kv_cache(self, model: ModelFacts, settings: FitSettings) -> MemoryPart:
        """Cells of all streams, and the states."""
        cache, dtype = model.cache, self.kv_dtype(settings.kv_dtype)
        assert cache is not None
        total = sum(
            group.count * cells(settings, group.window) * elements_bytes(group.elements_per_token, dtype)
            for group in cache.groups
        )
        state = sequences(settings) * STATE_BYTES * (cache.convolution_elements + cache.recurrent_elements)
        index = cache.index_elements * cells(settings, None) * F16
        note = _kv_note(model, settings, dtype)
        if index:
            whole = total + state + index
            return estimated(MemoryKind.KV_CACHE, whole, total + state, whole, note)
        return derived(MemoryKind.KV_CACHE, total + state, note)

    def compute(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """Buffers of every device. The band's upper end is what older builds needed, where that is more."""
        if model.shape is None:
            return not_known()
        current = buffers(model, settings).nbytes
        most = max(1.15 * current, older_buffers(model.shape, settings).nbytes + _latent_extra(model, settings))
        copies = site.devices * (PIPELINE_COPIES if site.devices > 1 else 1)
        note = "One micro-batch of 512 tokens"
        if not settings.flash_attention:
            note += ", with the scores of attention, which flash attention would not keep"
        elif is_quantized(settings):
            note += "; a quantized cache is unpacked one layer at a time"
        return estimated(MemoryKind.COMPUTE, copies * current, copies * 0.9 * current, copies * most, f"{note}.")

    def overhead(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """CUDA context per GPU, Metal's own buffers, or the process alone; and the input buffer in RAM."""
        low, middle, high = {SiteKind.CUDA: CUDA_CONTEXT, SiteKind.METAL: METAL, SiteKind.CPU: CPU}[site.kind]
        host, extra = self.host_buffers(model, settings), site.devices - 1
        most = high + extra * max(high, EXTRA_GPU_MOST)
        note = {
            SiteKind.CUDA: "CUDA context and cuBLAS, about 325 MiB per GPU; input buffers in RAM.",
            SiteKind.METAL: "Buffers of the GPU driver and for the inputs.",
            SiteKind.CPU: "The program itself and its input buffers; nothing on a GPU.",
        }[site.kind]
        if towers := model.tower_bytes:
            most += round(PROJECTOR * towers)
            size = memory(round(PROJECTOR * towers))
            note += f" Only the text is counted; reading images or sound takes up to {size} more for the mmproj file."
        return estimated(MemoryKind.OVERHEAD, site.devices * middle + host, site.devices * low, most + host, note)

    def host_weights(self, weights: WeightBytes) -> int:
        """The input embedding stays in RAM: a few of its rows are looked up there."""
        return weights.split.lookup_bytes

    def host_buffers(self, model: ModelFacts, settings: FitSettings) -> int:
        """The inputs of a micro-batch and its mask."""
        return 0 if model.shape is None else host_buffer(model.shape, settings)

    def comfortable(self, capacity: int) -> int:
        """All but 1 GiB, at least half."""
        return max(capacity - MARGIN, capacity // 2)


LLAMA_CPP = _LlamaCpp()


def sequences(settings: FitSettings) -> int:
    """Sequences that the context is set up for (`-np`)."""
    return settings.batch * settings.slots


def cells(settings: FitSettings, window: int | None) -> int:
    """Tokens set aside over all streams, for full attention (`window` None) or a sliding window."""
    streams = 1 if settings.kv_unified else sequences(settings)
    stream = padded(-(-settings.context * settings.batch // streams), CELLS)
    if window is not None:
        shared_by = sequences(settings) if settings.kv_unified else 1
        stream = padded(min(stream, window * shared_by + MICRO_BATCH), CELLS)
    return streams * stream


def prediction_bytes(model: ModelFacts, settings: FitSettings) -> int:
    """The cache of the layers for multi-token prediction, each like the widest of the model's own.

    Qwen3.6-27B: 544 MiB beside 8,704 with 262,144 tokens of q8_0.
    """
    if model.cache is None:
        return 0
    layer = elements_bytes(model.cache.largest_layer, LLAMA_CPP.kv_dtype(settings.kv_dtype))
    return model.prediction_layers * cells(settings, None) * layer


def is_quantized(settings: FitSettings) -> bool:
    """Whether the cache is kept in fewer than 16 bits."""
    return bits_per_element(LLAMA_CPP.kv_dtype(settings.kv_dtype)) < 16


def buffers(model: ModelFacts, settings: FitSettings) -> Buffers:
    """Builds of 2026: a float16 mask, logits of the last tokens alone, a dequantized copy of one layer's cache.

    Qwen3.6-27B: 36 MiB with one slot, and the logits of a micro-batch more for each further one (492, 1,388 and 3,220
    MiB for 2, 4 and 8); with 262,144 tokens of q8_0 cache 1,360 MiB. `model.shape` must be known.
    """
    shape, context = model.shape, cells(settings, None)
    assert shape is not None
    slots = (sequences(settings) - 1) * shape.vocab * MICRO_BATCH * F32
    if not settings.flash_attention:
        without = _without_flash(shape, context)
        return Buffers(without.layers + slots, without.logits)
    mask = context * MICRO_BATCH * F16
    if model.is_latent:
        mask = max(mask, round(LATENT_PER_CONTEXT[0] * shape.hidden * context))
    scratch = model.cache.largest_layer * F16 * context if model.cache and is_quantized(settings) else 0
    activations = round(ACTIVATIONS * shape.hidden * MICRO_BATCH * F32)
    return Buffers(activations + mask + scratch + slots, 0)


def older_buffers(shape: Shape, settings: FitSettings) -> Buffers:
    """Builds of 2024 and 2025: a float32 mask with a float16 copy, and the logits of the whole micro-batch.

    Llama-3-8B 258.50 MiB, Qwen2.5-7B 304.00; Mistral-Small-22B with 49,152 tokens 192.00.
    """
    context = cells(settings, None)
    if not settings.flash_attention:
        return _without_flash(shape, context)
    mask = context * MICRO_BATCH * (F32 + F16)
    return Buffers(4 * shape.hidden * MICRO_BATCH * F32 + mask, (shape.vocab + shape.hidden) * MICRO_BATCH * F32)


def host_buffer(shape: Shape, settings: FitSettings) -> int:
    """The inputs of a micro-batch and its mask, in RAM. Llama-3.1-8B with 8,192 tokens 24.01 MiB."""
    return (shape.hidden + cells(settings, None)) * MICRO_BATCH * F32


def _without_flash(shape: Shape, context: int) -> Buffers:
    """Attention scores of all heads for one layer, the mask, and four activations (six where blocks are parallel).

    Llama-3.1-8B with 8,192 tokens 560.00 MiB, pythia-2.8B with 2,048 162.00.
    """
    scores = (shape.heads + 1) * context * MICRO_BATCH * F32
    activations = (6 if shape.is_parallel else 4) * shape.hidden * MICRO_BATCH * F32
    return Buffers(scores + activations, (shape.vocab + shape.hidden) * MICRO_BATCH * F32)


def _latent_extra(model: ModelFacts, settings: FitSettings) -> float:
    """What to plan with for latent attention."""
    if not model.is_latent or model.shape is None:
        return 0
    return LATENT_PER_CONTEXT[1] * model.shape.hidden * cells(settings, None)


def _kv_note(model: ModelFacts, settings: FitSettings, dtype: str) -> str:
    notes = [model.cache_note] if model.cache_note else []
    if model.cache and any(group.window for group in model.cache.groups):
        notes.append("llama.cpp sets aside a micro-batch more for them.")
    if dtype != settings.kv_dtype:
        notes.append(f"llama.cpp has no {settings.kv_dtype} cache; {dtype} is counted.")
    if model.prediction_layers:
        more = memory(prediction_bytes(model, settings))
        notes.append(f"Drafting with the prediction layers would keep {more} more, and a copy of each state per draft.")
    return " ".join(notes)
