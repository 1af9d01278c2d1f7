"""Tensors of a Hugging Face checkpoint -> the tensors of its GGUF file, in the order llama.cpp writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.heads import global_head_dim
from quantgui.formats.gguf.layouts import DROPPED, LAYOUTS, TOP, Layout, Shape, Split
from quantgui.formats.gguf.packed_blocks import CODES, SCALES, TYPE_NAME
from quantgui.types import Checkpoint, ModelConfig, TensorInfo, UserError

_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks)\.(\d{1,5})\.(.+)$")
_AROUND = re.compile(r"^(?:(?:model|language_model|transformer|backbone|gpt_neox|bert|roberta|distilbert)\.)+")
_DROPPED = re.compile("|".join(DROPPED))
_NUMBER = re.compile(r"\.\d+(?=\.|$)")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor of a GGUF file. `shape` is outermost first (GGUF's header lists it reversed); a row is `shape[-1]`."""

    name: str
    shape: Shape
    sources: tuple[str, ...] = ()  # the checkpoint's tensors it is made of; () where the config alone determines it
    layer: int | None = None
    stored_type: str = ""  # of ggml, where the source holds its blocks already; "" where it holds floats


def layout_of(config: ModelConfig | None) -> Layout:
    """How llama.cpp stores this architecture. Raises UserError where it is not known here."""
    if config is None or not config.model_type:
        raise UserError(
            "What kind of model this is cannot be told: there is no config.json with a model_type.",
            hint="Put the model's config.json beside its weights.",
        )
    layout = LAYOUTS.get(config.model_type)
    if layout is None:
        raise UserError(
            f"How llama.cpp stores the architecture “{config.model_type}” is not known yet.",
            hint="A precision that is written as a folder does not need it.",
        )
    return layout


def gguf_tensors(checkpoint: Checkpoint) -> tuple[GgufTensor, ...]:
    """Every tensor of the GGUF file of a Hugging Face checkpoint, sorted by (layer, name), those outside layers first.

    Raises UserError for an architecture or a tensor that has no known place in GGUF.
    """
    config = checkpoint.config
    layout = layout_of(config)
    assert config is not None  # layout_of refuses a checkpoint without one
    found: dict[str, GgufTensor] = {}
    stacks: dict[str, list[TensorInfo]] = {}
    for tensor in checkpoint.tensors:
        if _is_dropped(tensor.name, layout, config):
            continue
        stack = _stack(tensor.name, layout)
        if stack:
            stacks.setdefault(stack, []).append(tensor)
        else:
            found |= {made.name: made for made in _renamed(tensor, layout, config)}
    found |= {name: _stacked(name, parts) for name, parts in stacks.items()}
    found |= {made.name: made for made in _rope_factors(config)}
    found |= {made.name: made for made in _repeated(found, layout)}
    return tuple(sorted(found.values(), key=lambda t: (-1 if t.layer is None else t.layer, t.name)))


def _repeated(found: Mapping[str, GgufTensor], layout: Layout) -> Iterator[GgufTensor]:
    """Tensors that llama.cpp wants in a layer although it computes without them, and transformers does not save."""
    layers = {made.layer for made in found.values() if made.layer is not None}
    for inside in layout.repeated:
        first = found.get(f"blk.0.{inside}")
        missing = (layer for layer in layers if f"blk.{layer}.{inside}" not in found)
        if first is not None:
            yield from (replace(first, name=f"blk.{layer}.{inside}", layer=layer) for layer in missing)


def _is_dropped(name: str, layout: Layout, config: ModelConfig) -> bool:
    if layout.drops_tied_head and config.tied_embeddings and name.endswith("lm_head.weight"):
        return True
    layer = _LAYER.search(name)
    if layer is not None and config.num_layers and int(layer[1]) >= config.num_layers:
        return True  # predicts more tokens at once, which llama.cpp does without
    return _DROPPED.search(name) is not None


def _stack(name: str, layout: Layout) -> str:
    """The name of the tensor that this one is a slice of: an expert's matrix, a head's norm. "" where it is whole."""
    match = _LAYER.search(name)
    if match is None:
        module, _, kind = _AROUND.sub("", name).rpartition(".")
        stem = layout.outer_stacks.get(_NUMBER.sub(".*", module, count=1))
        return f"{stem}.{kind}" if stem else ""
    module, _, kind = match[2].rpartition(".")
    stem = layout.stacks.get(_NUMBER.sub(".*", module, count=1))
    return f"blk.{int(match[1])}.{stem}.{kind}" if stem else ""


def _stacked(name: str, parts: list[TensorInfo]) -> GgufTensor:
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        raise UserError(f"The parts of “{name}” differ in shape: {', '.join(map(str, sorted(shapes)))}.")
    (shape,) = shapes
    layer = int(name.split(".")[1]) if name.startswith("blk.") else None
    return GgufTensor(name, (len(parts), *shape), tuple(part.name for part in parts), layer)


def _renamed(tensor: TensorInfo, layout: Layout, config: ModelConfig) -> Iterator[GgufTensor]:
    match = _LAYER.search(tensor.name)
    if match is None:
        yield from _outside(tensor, layout, config)
        return
    layer, inside = int(match[1]), match[2]
    split = layout.splits.get(inside)
    if split is not None:
        for name, shape in _split(split, tensor, config):
            yield _with_scales(GgufTensor(f"blk.{layer}.{name}", shape, (tensor.name,), layer))
        return
    turned = inside.removesuffix(".weight") in layout.transposed
    shape = tensor.shape[::-1] if turned else tensor.shape
    name = _named(tensor.name, inside, layout.modules)
    yield GgufTensor(f"blk.{layer}.{name}", shape, (tensor.name,), layer)


def _with_scales(made: GgufTensor) -> GgufTensor:
    """The same, of both of its tensors where these hold codes and scales."""
    (codes,) = made.sources
    if not codes.endswith(CODES):
        return made
    return replace(made, sources=(codes, codes.removesuffix(CODES) + SCALES), stored_type=TYPE_NAME)


def _outside(tensor: TensorInfo, layout: Layout, config: ModelConfig) -> Iterator[GgufTensor]:
    """A tensor that belongs to no layer."""
    inside = _AROUND.sub("", tensor.name)
    split = layout.outer_splits.get(inside)
    if split is None:
        yield GgufTensor(_named(tensor.name, inside, TOP), tensor.shape, (tensor.name,))
        return
    for name, shape in _split(split, tensor, config):
        yield GgufTensor(name, shape, (tensor.name,))


def _split(split: Split, tensor: TensorInfo, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    try:
        return split(tensor.shape, config)
    except (ValueError, IndexError):  # another number of dimensions
        raise UserError(f"The tensor “{tensor.name}” has an unexpected shape: {tensor.shape}.") from None


def _named(full_name: str, inside: str, modules: Mapping[str, str]) -> str:
    module, _, kind = inside.rpartition(".")
    stem = modules.get(module)
    if stem is None or kind not in ("weight", "bias"):
        raise UserError(f"The tensor “{full_name}” has no known place in a GGUF file.")
    return f"{stem}.{kind}"


def _rope_factors(config: ModelConfig) -> Iterator[GgufTensor]:
    """Frequency factors that llama.cpp reads as tensors: Llama 3's scaling, heads of which Gemma 4 turns a
    part, and Phi's long contexts. Always F32."""
    scaling = config.raw.get("rope_parameters") or config.raw.get("rope_scaling")
    if not isinstance(scaling, Mapping) or not config.head_dim:
        return
    full = scaling.get("full_attention")
    if isinstance(full, Mapping) and full.get("rope_type") == "proportional":
        yield GgufTensor("rope_freqs.weight", (global_head_dim(Keys(config)) // 2,))
    shape = (config.head_dim // 2,)
    if (scaling.get("rope_type") or scaling.get("type")) == "llama3":
        yield GgufTensor("rope_freqs.weight", shape)
    for length in ("long", "short"):
        factors = scaling.get(f"{length}_factor")
        if isinstance(factors, list):
            yield GgufTensor(f"rope_factors_{length}.weight", (len(factors),))
