"""Well-known models that need no download to be looked at: their configs, and the tensors these describe."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache

from quantgui.checkpoint.architectures import (
    assumed_model_type,
    attention_layers,
    extra_tensors,
    is_supported,
    tensor_shapes,
)
from quantgui.checkpoint.config import read_config
from quantgui.checkpoint.tensor_name_rules import TOWERS
from quantgui.checkpoint.tensor_names import describe
from quantgui.resource_files import resource
from quantgui.schemes.scheme import DTYPE_BYTES
from quantgui.types import Checkpoint, ModelConfig, Role, SourceKind, TensorInfo, UserError

_DTYPES = {"bfloat16": "BF16", "float16": "F16", "half": "F16", "float32": "F32", "float": "F32", "float64": "F64"}


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One model of the catalogue."""

    id: str  # as on the Hugging Face hub
    config: ModelConfig
    parameters: int | None = None  # elements the published checkpoint stores, where its index states them
    text_only: bool = False  # the published checkpoint also holds a vision tower
    stores_tied_head: bool = False  # and its head a second time although it is tied

    @property
    def supported(self) -> bool:
        """Whether its tensors can be derived; an unsupported entry is listed but cannot be estimated yet."""
        if not is_supported(self.config):
            return False
        try:
            attention_layers(self.config)  # fails where the config does not tell what its layers are
        except UserError:
            return False
        return True

    def checkpoint(self) -> Checkpoint:
        """Its tensors. Raises UserError where they cannot be derived."""
        return checkpoint_from_config(
            self.id, self.config, stores_tied_head=self.stores_tied_head, text_only=self.text_only
        )


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """Every model of `resources/models.json`, by name."""
    data = json.loads(resource("models.json").read_text(encoding="utf-8"))
    return tuple(
        CatalogueEntry(
            entry["id"],
            read_config(entry["config"]),
            entry.get("parameters"),
            entry.get("text_only", False),
            entry.get("stores_tied_head", False),
        )
        for entry in data["models"]
    )


def find_entry(model_id: str) -> CatalogueEntry:
    """The entry of a hub id, case ignored; the part behind the slash is enough. Raises UserError with near matches."""
    wanted = model_id.strip().lower()
    full = {entry.id.lower(): entry for entry in catalogue()}
    short = {key.rpartition("/")[2]: entry for key, entry in full.items()}
    found = full.get(wanted) or short.get(wanted)
    if found is not None:
        return found
    keys = get_close_matches(wanted, full, n=3) or get_close_matches(wanted.rpartition("/")[2], short, n=3)
    near = [(full.get(key) or short[key]).id for key in keys]
    raise UserError(
        f"“{model_id}” is not in the catalogue.",
        hint=f"Did you mean {' or '.join(near)}?" if near else "Give a folder, a file or the id of a known model.",
    )


def checkpoint_from_config(
    name: str, config: ModelConfig, *, stores_tied_head: bool = False, text_only: bool = False
) -> Checkpoint:
    """The unquantized checkpoint a config describes: exact names, shapes and bytes, no files.

    Raises UserError where the architecture is not covered or the config lacks a value.
    """
    dtype, notes = _dtype(config)
    assumed = assumed_model_type(config)
    if assumed:
        notes.append(f"The config states no model_type; it is read as {assumed}.")
    notes += _left_out(config, text_only)
    shapes = list(tensor_shapes(config))
    if stores_tied_head:
        shapes.append(("lm_head.weight", shapes[0][1]))
        notes.append("The checkpoint stores its tied output head a second time; it is counted as stored.")
    tensors = tuple(_tensor_infos(shapes, dtype))
    has_head = any(t.role is Role.HEAD for t in tensors)
    described = replace(config, quantization=None, tied_embeddings=stores_tied_head or not has_head)
    return Checkpoint(name, SourceKind.CONFIG, "", tensors, described, tuple(notes))


def _tensor_infos(shapes: list[tuple[str, tuple[int, ...]]], dtype: str) -> Iterator[TensorInfo]:
    element_bytes = DTYPE_BYTES[dtype]
    for name, shape in shapes:
        said = describe(name, len(shape))
        nbytes = math.prod(shape) * element_bytes
        yield TensorInfo(name, shape, dtype, nbytes, "", 0, said.role, said.layer, said.module)


def _dtype(config: ModelConfig) -> tuple[str, list[str]]:
    """Safetensors dtype of the weights, and what is worth saying about them."""
    stated = str(config.raw.get("torch_dtype") or config.raw.get("dtype") or "").removeprefix("torch.")
    dtype = _DTYPES.get(stated, "BF16")
    notes = []
    if config.quantization:
        notes.append(f"Published as {config.quantization}; shown are the weights before that, at {dtype}.")
    elif stated not in _DTYPES:
        notes.append("The config states no dtype; BF16 is assumed.")
    return dtype, notes


def _left_out(config: ModelConfig, text_only: bool) -> list[str]:
    """What the published checkpoint holds beside the language model, with its size where the config tells."""
    predicts = config.raw.get("num_nextn_predict_layers") or config.raw.get("mtp_num_hidden_layers")
    sees = text_only or "vision_config" in config.raw
    if not predicts and not sees:
        return []
    tower, prediction = 0, 0
    for name, shape in extra_tensors(config):
        is_tower = any(pattern.search(name) for _, pattern in TOWERS)
        tower += math.prod(shape) if is_tower else 0
        prediction += 0 if is_tower else math.prod(shape)
    notes = []
    if sees:
        notes.append(f"The text model alone; the published checkpoint also holds a vision tower{_counted(tower)}.")
    if predicts:
        notes.append(
            f"Multi-token-prediction layers{_counted(prediction)} are not loaded for generation and not counted."
        )
    return notes


def _counted(parameters: int) -> str:
    return f" of {parameters:,} parameters" if parameters else ""
