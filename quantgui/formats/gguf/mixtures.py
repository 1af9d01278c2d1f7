"""llama.cpp's mixtures: which tensors of a file type get more (or fewer) bits than its base, and where.

The rules are `llama_tensor_get_type_impl` of llama.cpp (October 2026). A rule gets the `Place` of one tensor and
answers with a ggml type, or None for the base type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Kind(StrEnum):
    """What llama.cpp's rules tell apart, by name alone."""

    OUTPUT = "output"
    EMBEDDING = "token_embd"
    ATTENTION_V = "attn_v"  # also fused query/key/value, and the latent's projection
    ATTENTION_QKV = "attn_qkv"  # fused, as files made before 2026 treat it
    ATTENTION_K = "attn_k"
    ATTENTION_Q = "attn_q"
    ATTENTION_OUTPUT = "attn_output"
    FFN_UP = "ffn_up"
    FFN_GATE = "ffn_gate"
    FFN_DOWN = "ffn_down"
    OTHER = "other"


_CONTAINED: tuple[tuple[str, Kind], ...] = (
    ("attn_qkv.weight", Kind.ATTENTION_V),
    ("attn_kv_b.weight", Kind.ATTENTION_V),
    ("attn_v.weight", Kind.ATTENTION_V),
    ("attn_k.weight", Kind.ATTENTION_K),
    ("attn_q.weight", Kind.ATTENTION_Q),
    ("attn_output.weight", Kind.ATTENTION_OUTPUT),
    ("ffn_up", Kind.FFN_UP),
    ("ffn_gate", Kind.FFN_GATE),
    ("ffn_down", Kind.FFN_DOWN),
)


@lru_cache(maxsize=2**15)
def kind_of(name: str) -> Kind:
    """The kind of a GGUF tensor."""
    if name == "output.weight":
        return Kind.OUTPUT
    if name in ("token_embd.weight", "per_layer_token_embd.weight"):
        return Kind.EMBEDDING
    return next((kind for part, kind in _CONTAINED if part in name), Kind.OTHER)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the rules ask about the model."""

    architecture: str  # general.architecture
    layers: int
    heads: int
    kv_heads: int
    experts: int = 0

    @property
    def shares_kv(self) -> bool:
        """Four or more query heads per KV head: the value projection is small, more bits there cost little."""
        return self.kv_heads > 0 and self.heads // self.kv_heads >= 4

    @property
    def is_falcon(self) -> bool:
        """Falcon has rules of its own."""
        return self.architecture == "falcon"

    @property
    def is_70b(self) -> bool:
        """llama.cpp's model type "70B", which it tells by the number of layers."""
        if self.architecture == "llama":
            return self.layers == 80 and self.heads != self.kv_heads
        return (self.architecture, self.layers) in _70B


_70B = frozenset({("qwen2", 80), ("deci", 80), ("olmo", 80), ("jais2", 68)})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor stands: the `index`-th of `count` of its kind (for experts the layer's number counts)."""

    file_type: str
    facts: ModelFacts
    imatrix: bool
    index: int
    count: int

    @property
    def gets_more_bits(self) -> bool:
        """First and last eighth, and every third between: what the _M mixtures lift."""
        return _more(self.index, self.count)

    @property
    def in_first_eighth(self) -> bool:
        """Whether it is among the first eighth."""
        return self.index < self.count // 8


Rule = Callable[[Place], str | None]

LOWEST = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M"})
"""File types with rules of their own, instead of the general ones."""
_IQ2_S_AND_M = frozenset({"IQ2_S", "IQ2_M"})


def _more(index: int, count: int) -> bool:
    return index < count // 8 or index >= 7 * count // 8 or (index - count // 8) % 3 == 2


def output_type(file_type: str, base: str, row: int, block: int, is_falcon: bool) -> str:
    """Type of the output head, or of the embedding that stands in for it."""
    if file_type == "MXFP4_MOE" or is_falcon or row % block:
        return "Q8_0"
    if file_type in LOWEST or file_type == "IQ3_XXS":
        return "Q5_K"
    return base if base == "Q8_0" else "Q6_K"


EMBEDDING_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS"), "Q2_K"),
    **dict.fromkeys(("IQ2_S", "IQ2_M", "IQ3_XXS"), "IQ3_S"),
    **dict.fromkeys(("TQ1_0", "TQ2_0"), "Q4_K"),
}
"""File type -> type of an embedding that is not the head; the base type elsewhere."""


def _lowest_attention_v(place: Place) -> str:
    if place.facts.shares_kv or place.facts.experts >= 4:
        return "Q4_K"
    return "IQ3_S" if place.file_type in _IQ2_S_AND_M else "Q2_K"


def _lowest_ffn_down(place: Place) -> str | None:
    if not place.in_first_eighth:
        return None
    return "IQ3_S" if place.file_type in _IQ2_S_AND_M else "Q2_K"


def _lowest_attention_output(place: Place) -> str | None:
    if place.facts.experts == 8:
        return "Q5_K"
    return {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}.get(place.file_type)


def _lowest_attention_k(place: Place) -> str | None:
    return "Q4_K" if place.facts.experts == 8 else None


_V_WHERE_KV_IS_SHARED = frozenset({"Q2_K", "Q2_K_S", "IQ3_XXS", "IQ3_XS", "IQ3_S"})
_V_ALWAYS: Mapping[str, str] = {"Q2_K": "Q3_K", "IQ3_M": "Q4_K", "Q3_K_L": "Q5_K"}


def _mixed_attention_v(place: Place) -> str | None:
    file_type = place.file_type
    if place.facts.shares_kv and file_type in _V_WHERE_KV_IS_SHARED:
        return "Q4_K"
    if place.facts.shares_kv and file_type in ("IQ4_NL", "IQ4_XS"):
        return "Q5_K"
    if file_type == "IQ3_XXS":
        return None if place.imatrix else "IQ3_S"
    if file_type == "Q3_K_M":
        return "Q5_K" if place.index < 2 else "Q4_K"
    if file_type in ("Q4_K_M", "Q5_K_M"):
        return "Q6_K" if place.gets_more_bits else None
    if file_type == "Q4_K_S":
        return "Q5_K" if place.index < 4 else None
    return _V_ALWAYS.get(file_type)


def attention_v(place: Place, base: str) -> str:
    """Values are the most sensitive: few and worth more bits."""
    if place.facts.experts == 8:
        return "Q8_0"
    chosen = _mixed_attention_v(place) or base
    return "Q5_K" if place.facts.is_70b and chosen in ("Q3_K", "Q4_K") else chosen


_FUSED_APART: Mapping[str, str] = {
    "Q3_K_M": "Q4_K",
    "Q3_K_L": "Q4_K",
    "IQ3_M": "Q4_K",
    "Q4_K_M": "Q5_K",
    "Q5_K_M": "Q6_K",
}


def _attention_k(place: Place) -> str | None:
    return "Q8_0" if place.facts.experts == 8 else _attention_q(place)


def _attention_q(place: Place) -> str | None:
    return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(place.file_type)


_FIRST_EIGHTH: Mapping[str, str] = {"Q2_K_S": "Q4_K", "IQ3_M": "Q4_K", "Q4_K_S": "Q5_K"}
_FIRST_EIGHTH_WITH_IMATRIX: Mapping[str, str] = {**_FIRST_EIGHTH, "Q4_0": "Q4_1", "Q5_0": "Q5_1"}
_FIRST_EIGHTH_WITHOUT: Mapping[str, str] = {**_FIRST_EIGHTH, "IQ4_NL": "Q5_K", "IQ4_XS": "Q5_K"}


def _ffn_down(place: Place) -> str | None:
    file_type, experts = place.file_type, place.facts.experts
    if file_type in ("Q2_K", "Q3_K_L"):
        return "Q3_K" if file_type == "Q2_K" else "Q5_K"
    if file_type == "Q3_K_M":
        return "Q5_K" if place.index < place.count // 16 else "Q4_K"
    if file_type in ("Q4_K_M", "Q5_K_M"):
        return "Q6_K" if place.gets_more_bits else None
    if file_type == "IQ3_XXS" and not place.imatrix:
        return "Q4_K" if place.in_first_eighth else "Q3_K"
    if file_type == "IQ3_M" and experts == 8 and place.gets_more_bits:
        return "Q4_K"
    first = _FIRST_EIGHTH_WITH_IMATRIX if place.imatrix else _FIRST_EIGHTH_WITHOUT
    return first.get(file_type) if place.in_first_eighth else None


def _falcon_ffn_down(place: Place) -> str | None:
    file_type, first = place.file_type, place.index < place.count // 16
    if file_type == "Q3_K_M":
        return "Q5_K" if first else "Q4_K" if place.gets_more_bits else None
    if file_type == "Q4_K_M":
        return "Q6_K" if first else "Q5_K" if place.gets_more_bits else None
    if file_type == "Q3_K_L":
        return "Q4_K"
    return None if file_type == "Q4_K_S" else _ffn_down(place)


_OUTPUT_OF_8_EXPERTS = frozenset(
    {"Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M"} | {"IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M", "IQ4_NL", "IQ4_XS"}
)
_ATTENTION_OUTPUT: Mapping[str, str] = {
    "Q2_K": "Q3_K",
    "IQ3_XXS": "IQ3_S",
    "Q3_K_M": "Q4_K",
    "Q3_K_L": "Q5_K",
    "IQ3_M": "Q4_K",
}


def _attention_output(place: Place) -> str | None:
    if place.facts.is_falcon:
        return "Q4_K" if place.file_type == "Q3_K_L" else None
    if place.facts.experts == 8:
        return "Q5_K" if place.file_type in _OUTPUT_OF_8_EXPERTS else None
    return _ATTENTION_OUTPUT.get(place.file_type)


def _ffn_up_and_gate(place: Place) -> str | None:
    in_the_middle = place.count // 8 <= place.index < 7 * place.count // 8
    return "IQ3_XXS" if place.file_type == "IQ3_XS" and in_the_middle else None


LOWEST_RULES: Mapping[Kind, Rule] = {
    Kind.ATTENTION_V: _lowest_attention_v,
    Kind.ATTENTION_K: _lowest_attention_k,
    Kind.ATTENTION_OUTPUT: _lowest_attention_output,
    Kind.FFN_DOWN: _lowest_ffn_down,
}
RULES: Mapping[Kind, Rule] = {
    Kind.ATTENTION_QKV: lambda place: _FUSED_APART.get(place.file_type),
    Kind.ATTENTION_K: _attention_k,
    Kind.ATTENTION_Q: _attention_q,
    Kind.ATTENTION_OUTPUT: _attention_output,
    Kind.FFN_DOWN: lambda place: _falcon_ffn_down(place) if place.facts.is_falcon else _ffn_down(place),
    Kind.FFN_UP: _ffn_up_and_gate,
    Kind.FFN_GATE: _ffn_up_and_gate,
}
"""Kind of tensor -> its rule; `attention_v`, `output_type` and `EMBEDDING_TYPES` are asked by themselves."""
