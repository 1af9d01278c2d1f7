"""A recipe whose base is a GGUF file type: what is asked of the type plan, and the type of every tensor of the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cache

from quantgui.checkpoint.tensor_names import describe
from quantgui.formats.gguf.file_types import FILE_TYPES, FileType, file_type
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.plan import planned_types
from quantgui.formats.gguf.source import kept_type
from quantgui.formats.gguf.tensor_size import tensor_nbytes
from quantgui.formats.gguf.type_plan import PlanOptions, is_quantizable, needs_importance
from quantgui.quant.gguf_rows import FLOAT_PREFIX, TENSOR_TYPES, tensor_scheme
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.parameters import ParameterValue
from quantgui.schemes.recipe import Recipe, Rule
from quantgui.types import Checkpoint, TensorInfo, UserError

LEFT_ALONE = "Norms, biases and routers stay in F32: a few numbers that scale everything."


@dataclass(frozen=True, slots=True)
class GgufOrder:
    """What a recipe asks for. `imatrix` is the path of an importance matrix, "" without one."""

    file_type: FileType
    options: PlanOptions
    imatrix: str = ""


def gguf_order(checkpoint: Checkpoint, recipe: Recipe, settings: Mapping[str, ParameterValue]) -> GgufOrder:
    """The file type and options of a recipe; `settings` are those of its base, complete.

    Raises UserError for a rule with something else than a tensor type.
    """
    source = kept_type(checkpoint)
    imatrix = str(settings.get("imatrix", ""))
    options = PlanOptions(
        imatrix=bool(imatrix),
        pure=bool(settings.get("pure")),
        leave_output=bool(settings.get("leave_output")),
        output_type=str(settings.get("output_type", "")),
        embedding_type=str(settings.get("embedding_type", "")),
        patterns=tuple((_regex(rule), tensor_type(rule.scheme.id) if rule.scheme else source) for rule in recipe.rules),
        source_type=source,
    )
    return GgufOrder(_file_type(recipe), options, imatrix)


def _file_type(recipe: Recipe) -> FileType:
    return file_type(recipe.base.id.upper().removeprefix(FLOAT_PREFIX))


def assign_gguf(checkpoint: Checkpoint, order: GgufOrder) -> tuple[Assignment, ...]:
    """One assignment per tensor of the file, in the file's order and under its GGUF name.

    `tensor` describes the values before: their dtype and bytes in the source. Raises UserError for architectures and
    tensors without a place in GGUF.
    """
    tensors, types = planned_types(checkpoint, order.file_type, order.options)
    stored = {tensor.name: tensor for tensor in checkpoint.tensors}
    scheme = cache(tensor_scheme)
    return tuple(
        Assignment(
            values_before(tensor, stored),
            scheme(type_name),
            "" if is_quantizable(tensor, order.options) else LEFT_ALONE,
        )
        for tensor, type_name in zip(tensors, types, strict=True)
    )


def asks_for_imatrix(recipe: Recipe, assignments: Iterable[Assignment]) -> bool:
    """Whether llama-quantize refuses these types, which `recipe` gave to a GGUF file, without an importance matrix."""
    kind = _file_type(recipe)
    return any(a.scheme is not None and needs_importance(a.tensor.name, a.scheme.id, kind) for a in assignments)


def values_before(tensor: GgufTensor, stored: Mapping[str, TensorInfo]) -> TensorInfo:
    """The values that a GGUF tensor is made of; those that follow from the config alone take no bytes of the source."""
    told = describe(tensor.name, len(tensor.shape))
    made = TensorInfo(tensor.name, tensor.shape, "F32", 0, role=told.role, layer=told.layer, module=told.module)
    if not tensor.sources:
        return made
    source = stored[tensor.sources[0]]
    if tensor.stored_type:
        nbytes = tensor_nbytes(tensor.shape, tensor.stored_type)
        return replace(made, dtype=tensor.stored_type, nbytes=nbytes, file=source.file)
    nbytes = source.nbytes * made.numel // source.numel if source.numel else 0
    return replace(made, dtype=source.dtype, nbytes=nbytes, file=source.file)


def _regex(rule: Rule) -> str:
    """The rule's pattern as a regular expression that is searched for in a GGUF name."""
    return rule.pattern[3:] if rule.pattern.startswith("re:") else rf"\A{translate(rule.pattern)}"


def tensor_type(name: str) -> str:
    """The tensor type that a rule names, case ignored; a file type stands for its base. Raises UserError."""
    known = name.upper().removeprefix(FLOAT_PREFIX)
    if known in TENSOR_TYPES:
        return known
    if known in FILE_TYPES:
        return FILE_TYPES[known].base
    raise UserError(f"“{name}” is not a type of a GGUF tensor.", hint=f"One of {', '.join(TENSOR_TYPES)}, or keep.")
