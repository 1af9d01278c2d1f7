"""How the model will be used: what the estimate depends on besides the model and the hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quantgui.types import ModelConfig, Runtime, UserError

DEFAULT_CONTEXT = 8192
MAX_CONTEXT = 100_000_000
MAX_BATCH = 65_536
MAX_SLOTS = 1024

KV_TYPES: Mapping[str, tuple[int, int]] = {
    "f32": (1, 4),
    "f16": (1, 2),
    "bf16": (1, 2),
    "fp8": (1, 1),
    "q8_0": (32, 34),
    "q5_1": (32, 24),
    "q5_0": (32, 22),
    "q4_1": (32, 20),
    "q4_0": (32, 18),
}
"""Types of the KV cache: elements of a block and its bytes. The q-types are llama.cpp's, a scale per 32 elements."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How the model is used. Raises UserError for impossible values.

    `slots` are llama.cpp's: requests at once that share the context (`-c`, `-np`); `batch` sequences have `context`
    tokens each.
    """

    context: int = DEFAULT_CONTEXT
    batch: int = 1
    kv_dtype: str = "f16"
    runtime: Runtime | None = None  # None: each precision in the program that its files are made for
    slots: int = 1
    flash_attention: bool = True
    imatrix: bool = False  # GGUF mixtures as with an importance matrix
    kv_unified: bool = True  # llama.cpp: slots share one cache; without, each gets its part of the context

    def __post_init__(self) -> None:
        _check_count("context", self.context, MAX_CONTEXT, "tokens")
        _check_count("batch", self.batch, MAX_BATCH, "sequences")
        _check_count("number of slots", self.slots, MAX_SLOTS, "slots")
        if self.kv_dtype not in KV_TYPES:
            raise UserError(
                f"There is no KV cache type “{self.kv_dtype}”.", hint=f"Choose one of {', '.join(KV_TYPES)}."
            )


def elements_bytes(elements: int, kv_dtype: str) -> int:
    """Bytes of so many elements in a type of the KV cache, whole blocks."""
    block, block_bytes = KV_TYPES[kv_dtype]
    return -(-elements * block_bytes // block)


def bits_per_element(kv_dtype: str) -> float:
    """Bits per element of a type of the KV cache, scales included."""
    block, block_bytes = KV_TYPES[kv_dtype]
    return 8 * block_bytes / block


def default_context(config: ModelConfig | None) -> int:
    """8,192 tokens, or what the model was made for where that is less. Its maximum would make everything too large."""
    trained = config.context_length if config is not None else None
    return min(DEFAULT_CONTEXT, trained or DEFAULT_CONTEXT)


def _check_count(name: str, value: object, maximum: int, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= maximum:
        raise UserError(f"A {name} of {value} is not possible.", hint=f"Give 1 to {maximum:,} {unit}.")
