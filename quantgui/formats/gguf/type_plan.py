"""Which tensor of a GGUF file gets which type, as `llama-quantize` decides it: from names, shapes and a few facts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from quantgui.formats.gguf.file_types import FileType
from quantgui.formats.gguf.mixtures import (
    EMBEDDING_TYPES,
    LOWEST,
    LOWEST_RULES,
    RULES,
    Kind,
    ModelFacts,
    Place,
    attention_v,
    kind_of,
    output_type,
)
from quantgui.formats.gguf.names import GgufTensor
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import UserError

KEPT_TYPE = "F32"
"""What the converter stores norms, biases, routers and position embeddings in, and llama-quantize leaves alone."""

_LEFT_ALONE = re.compile(
    r"_norm\.weight|ffn_gate_inp\.weight|ffn_gate_tid2eid\.weight|altup|laurel|per_layer_model_proj|ssm_conv1d"
    r"|shortconv\.conv\.weight|indexer\.[kq]_proj\.weight|attn_rel_b\.weight"
    r"|time_mix_(first|[wva][0-2]|g[12]|decay_w[12]|lerp_fused)\.weight"
    r"|\.position_embd|sam\.(pos_embd|neck\.|net_)|\.rel_pos|\.patch_(embd|merger)|a\.rvq\.codebook|mm\.a\.code_embd"
    r"|^(position_embd|token_types)\.weight"
)
_KEPT_AS_SOURCE = re.compile(r"altup_(unembd_)?(proj|router)\.weight|laurel_[lr]\.weight|per_layer_model_proj\.weight")
"""What llama-quantize leaves alone although the converter stores it in the source's type."""
_FALLBACK = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""Types of 256-element blocks -> what stands in where rows do not fill these blocks."""
_IMATRIX_TYPES = frozenset({"IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_M", "IQ1_S"})


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a person may ask of `llama-quantize` beside the file type. Types are ggml's names; "" keeps the rules."""

    imatrix: bool = False  # an importance matrix is given
    pure: bool = False  # --pure: the base type wherever it is possible
    leave_output: bool = False  # --leave-output-tensor
    output_type: str = ""  # --output-tensor-type
    embedding_type: str = ""  # --token-embedding-type
    patterns: tuple[tuple[str, str], ...] = ()  # --tensor-type: (regular expression, type), the first match wins
    source_type: str = "BF16"  # what a left-out output tensor stays in
    fused_apart: bool = (
        False  # fused query/key/value by its own rule, as llama.cpp did into 2026, not by that for values
    )


def plan_types(
    tensors: Sequence[GgufTensor], facts: ModelFacts, file_type: FileType, options: PlanOptions | None = None
) -> tuple[str, ...]:
    """The ggml type of each tensor, in order. `tensors` must be sorted as `gguf_tensors` sorts them.

    Raises UserError for an override that is not a type, or not a regular expression.
    """
    chosen = options or PlanOptions()
    _check(chosen)
    return tuple(_Planner(tensors, facts, file_type, chosen).types(tensors))


@dataclass(frozen=True, slots=True)
class Fallback:
    """`count` tensors whose rows do not fill the blocks of the type they should have."""

    wanted: str
    given: str
    row: int
    count: int


def fallbacks(
    tensors: Sequence[GgufTensor], facts: ModelFacts, file_type: FileType, options: PlanOptions
) -> tuple[Fallback, ...]:
    """Where the plan had to take another type, in the order in which it happens first."""
    planner = _Planner(tensors, facts, file_type, options)
    for _ in planner.types(tensors):
        pass
    return tuple(Fallback(*key, count) for key, count in planner.fallbacks.items())


def needs_importance(tensor_name: str, type_name: str, file_type: FileType) -> bool:
    """Whether `llama-quantize` refuses this type for this tensor without an importance matrix."""
    refused = _IMATRIX_TYPES | {"Q2_K"} if file_type.name == "Q2_K_S" else _IMATRIX_TYPES
    return type_name in refused and kind_of(tensor_name) not in (Kind.OUTPUT, Kind.EMBEDDING)


def needs_imatrix(tensors: Iterable[GgufTensor], types: Iterable[str], file_type: FileType) -> bool:
    """Whether `llama-quantize` refuses this plan without an importance matrix."""
    pairs = zip(tensors, types, strict=True)
    return any(needs_importance(tensor.name, type_name, file_type) for tensor, type_name in pairs)


def is_quantizable(tensor: GgufTensor, options: PlanOptions) -> bool:
    """Whether llama-quantize touches a tensor at all: matrices called weight, except small and delicate ones."""
    if options.leave_output and tensor.name == "output.weight":
        return False
    return _is_matrix(tensor.shape) and not _is_left_alone(tensor.name)


def _is_matrix(shape: Sequence[int]) -> bool:
    """Whether ggml counts at least two dimensions; leading ones do not count."""
    return any(size != 1 for size in shape[:-1])


@lru_cache(maxsize=2**15)
def _is_left_alone(name: str) -> bool:
    return not name.endswith("weight") or _LEFT_ALONE.search(name) is not None


def fallback(type_name: str, row: int) -> str:
    """The type itself where rows of `row` elements fill its blocks, else the nearest one that they fill, else F16."""
    for candidate in (type_name, _FALLBACK.get(type_name)):
        if candidate is not None and row % BY_NAME[candidate].block_elements == 0:
            return candidate
    return "F16"


class _Planner:
    """Counts the tensors of each kind on the way through a file; the rules depend on the count."""

    def __init__(
        self, tensors: Sequence[GgufTensor], facts: ModelFacts, file_type: FileType, options: PlanOptions
    ) -> None:
        kinds = [kind_of(tensor.name) for tensor in tensors]
        self._facts, self._file_type, self._options = facts, file_type, options
        self._tied = Kind.OUTPUT not in kinds
        self._values = sum(kind is Kind.ATTENTION_V for kind in kinds)
        self._patterns = [(re.compile(pattern), name) for pattern, name in options.patterns]
        self._seen: Counter[Kind] = Counter()
        self.fallbacks: Counter[tuple[str, str, int]] = Counter()  # (wanted, given, row)

    def types(self, tensors: Iterable[GgufTensor]) -> Iterable[str]:
        for tensor in tensors:
            if is_quantizable(tensor, self._options):
                yield self._type(tensor, self._kind(tensor.name))
            else:
                yield self._kept(tensor.name)

    def _kept(self, name: str) -> str:
        if name == "output.weight":
            return self._options.source_type
        if _KEPT_AS_SOURCE.search(name):
            return self._options.source_type if self._file_type.is_quantized else self._file_type.base
        return KEPT_TYPE

    def _kind(self, name: str) -> Kind:
        if self._options.fused_apart and "attn_qkv.weight" in name:
            return Kind.ATTENTION_QKV
        return kind_of(name)

    def _type(self, tensor: GgufTensor, kind: Kind) -> str:
        override = {Kind.EMBEDDING: self._options.embedding_type, Kind.OUTPUT: self._options.output_type}.get(kind)
        manual = override or next((name for pattern, name in self._patterns if pattern.search(tensor.name)), None)
        if tensor.stored_type and not manual and self._file_type.is_quantized:
            return tensor.stored_type  # rounded once by those who trained it; other blocks would only add to the loss
        base, row = self._file_type.base, tensor.shape[-1]
        mixes = self._file_type.is_quantized and not self._options.pure
        wanted = manual or (self._mixed(tensor, kind, base) if mixes else base)
        given = fallback(wanted, row)
        if given != wanted:
            self.fallbacks[wanted, given, row] += 1
        return given

    def _mixed(self, tensor: GgufTensor, kind: Kind, base: str) -> str:
        name, facts = self._file_type.name, self._facts
        if kind is Kind.OUTPUT or (self._tied and kind is Kind.EMBEDDING):
            block = BY_NAME[base].block_elements
            return self._options.output_type or output_type(name, base, tensor.shape[-1], block, facts.is_falcon)
        if name == "MXFP4_MOE":
            return base if len(tensor.shape) > 2 else "Q8_0"
        if kind is Kind.EMBEDDING:
            return EMBEDDING_TYPES.get(name, base)
        place = self._place(tensor, kind)
        self._seen[kind] += 1
        if name not in LOWEST and kind is Kind.ATTENTION_V:
            return attention_v(place, base)
        rule = (LOWEST_RULES if name in LOWEST else RULES).get(kind)
        return (rule(place) if rule else None) or base

    def _place(self, tensor: GgufTensor, kind: Kind) -> Place:
        index, facts = self._seen[kind], self._facts
        count = self._values if kind is Kind.ATTENTION_V else facts.layers
        by_layer = kind in (Kind.FFN_DOWN, Kind.FFN_UP, Kind.FFN_GATE) and self._file_type.name not in LOWEST
        if by_layer and facts.experts > 1 and tensor.layer is not None:
            index = tensor.layer
        return Place(self._file_type.name, facts, self._options.imatrix, index, count)


def _check(options: PlanOptions) -> None:
    for name in (options.output_type, options.embedding_type, *(name for _, name in options.patterns)):
        if name and name not in BY_NAME:
            raise UserError(f"“{name}” is not a tensor type of GGUF.", hint=f"One of {', '.join(sorted(BY_NAME))}.")
    for pattern, _ in options.patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"“{pattern}” is not a regular expression: {error}.") from None
