"""The log of vLLM's start: weights, the profile run's activations, and the pool that is left for the KV cache."""

from __future__ import annotations

import re

from quantgui.fit.logs.reading import LogSize, ParsedLog, size_in_bytes
from quantgui.types import MemoryKind, Runtime

_NUMBER = r" {0,4}(\d[\d,]{0,12}(?:\.\d{1,6})?) {0,4}([KMG]i?B)"
_SIZES = (
    (MemoryKind.WEIGHTS, "weights", re.compile(rf"(?:Loading model weights took|Model loading took){_NUMBER}")),
    (MemoryKind.WEIGHTS, "weights", re.compile(rf"model weights take{_NUMBER}")),
    (MemoryKind.COMPUTE, "activations", re.compile(rf"activation peak memory takes{_NUMBER}")),
    (MemoryKind.OVERHEAD, "non-torch", re.compile(rf"non_torch_memory takes{_NUMBER}")),
    (MemoryKind.OVERHEAD, "graphs", re.compile(rf"Graph capturing finished in .{{1,40}}?took{_NUMBER}")),
    (MemoryKind.KV_CACHE, "pool", re.compile(rf"memory reserved for KV Cache is{_NUMBER}")),
    (MemoryKind.KV_CACHE, "pool", re.compile(rf"Available KV cache memory:{_NUMBER}")),
)
_TOKENS = re.compile(r"GPU KV cache size: (\d[\d,]{0,14}) tokens")
_BLOCKS = re.compile(r"# (?:GPU|CUDA) blocks: (\d{1,9})")
_BLOCK_TOKENS = 16
"""vLLM's default block size, where the log counts blocks."""
_CONCURRENCY = re.compile(r"Maximum concurrency for (\d[\d,]{0,11}) tokens per request: (\d[\d.]{0,12})x")
_CONTEXT = re.compile(r"(?:max_model_len|max_seq_len|max model len)[=: ] {0,4}(\d{1,9})")
_RANKS = re.compile(r"tensor_parallel_size=(\d{1,3})\b")
_WORKER = re.compile(r"Worker_TP(\d{1,3})\b")
_KV_TYPE = re.compile(r"kv_cache_dtype=['\"]?(\w+)")


def is_vllm(text: str) -> bool:
    """Whether the text holds a line that only vLLM writes."""
    return any(pattern.search(text) for _, _, pattern in _SIZES)


def parse_vllm(text: str) -> ParsedLog:
    """Sizes over all GPUs, the pool's tokens and the context.

    Each rank writes its own lines, all alike: the last counts, times the number of ranks.
    """
    ranks = _ranks(text)
    sizes: dict[tuple[MemoryKind, str], LogSize] = {}
    for kind, name, pattern in _SIZES:
        for match in pattern.finditer(text):
            sizes[kind, name] = LogSize(kind, "GPU", ranks * size_in_bytes(match[1], match[2]), match[0])
    concurrency = _CONCURRENCY.search(text)
    contexts = _CONTEXT.findall(text)
    kv_types = _KV_TYPE.findall(text)
    return ParsedLog(
        source="vLLM",
        runtime=Runtime.VLLM,
        sizes=tuple(sizes.values()),
        context=int(concurrency[1].replace(",", "")) if concurrency else int(contexts[-1]) if contexts else None,
        kv_dtype=kv_types[-1] if kv_types else "",
        kv_pool_tokens=_pool_tokens(text),
    )


def _ranks(text: str) -> int:
    stated = [int(number) for number in _RANKS.findall(text)]
    return max(1, stated[-1] if stated else len(set(_WORKER.findall(text))))


def _pool_tokens(text: str) -> int | None:
    tokens = _TOKENS.findall(text)
    if tokens:
        return int(tokens[-1].replace(",", ""))
    blocks = _BLOCKS.findall(text)
    return _BLOCK_TOKENS * int(blocks[-1]) if blocks else None
