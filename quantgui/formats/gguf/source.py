"""What a GGUF file is made of: the tensors, facts and keys of a Hugging Face checkpoint or of another GGUF file."""

from __future__ import annotations

from pathlib import Path

from quantgui.checkpoint.gguf_header import read_raw_keys
from quantgui.formats.gguf.key_values import KeyValue, ValueKind
from quantgui.formats.gguf.metadata import model_keys
from quantgui.formats.gguf.mixtures import ModelFacts
from quantgui.formats.gguf.names import GgufTensor, gguf_tensors, layout_of
from quantgui.formats.gguf.size import model_facts
from quantgui.formats.gguf.tokenizer import read_vocabulary, vocabulary_keys
from quantgui.types import Checkpoint, SourceKind, UserError

_REPLACED = ("general.quantization_version", "general.file_type", "split.no", "split.count", "split.tensors.count")
"""Keys of another GGUF file that do not hold for the new one."""


def architecture_of(checkpoint: Checkpoint) -> str:
    """general.architecture. Raises UserError where it is not known."""
    config = checkpoint.config
    if checkpoint.kind is not SourceKind.GGUF:
        return layout_of(config).architecture
    if config is None:
        raise UserError("The GGUF file does not state its architecture.", hint="Convert the original model again.")
    return config.model_type


def tensors_of(checkpoint: Checkpoint) -> tuple[GgufTensor, ...]:
    """The tensors in llama-quantize's order: by (layer, name), those outside layers first."""
    if checkpoint.kind is not SourceKind.GGUF:
        return gguf_tensors(checkpoint)
    made = (GgufTensor(t.name, t.shape, (t.name,), _layer(t.name)) for t in checkpoint.tensors)
    return tuple(sorted(made, key=lambda t: (-1 if t.layer is None else t.layer, t.name)))


def facts_of(checkpoint: Checkpoint, tensors: tuple[GgufTensor, ...]) -> ModelFacts:
    """What the type plan asks about the model."""
    config = checkpoint.config
    if checkpoint.kind is not SourceKind.GGUF:
        return model_facts(checkpoint, tensors)
    assert config is not None  # architecture_of refuses a file without one
    return ModelFacts(
        architecture=architecture_of(checkpoint),
        layers=config.num_layers or 0,
        heads=config.num_heads or 0,
        kv_heads=config.num_kv_heads or 0,
        experts=max((t.shape[0] for t in tensors if t.name.endswith("_exps.weight")), default=0),
    )


def keys_of(checkpoint: Checkpoint, tensors: tuple[GgufTensor, ...]) -> tuple[list[KeyValue], tuple[str, ...]]:
    """The keys of the new file without its file type, and what a person should know about them.

    Raises UserError for a model or tokenizer that cannot be converted.
    """
    path = Path(checkpoint.path)
    if checkpoint.kind is SourceKind.GGUF:
        raw = read_raw_keys(path)
        kept = ((key, entry) for key, entry in raw if key not in _REPLACED)
        return [KeyValue(key, ValueKind.STRING, raw=entry) for key, entry in kept], ()
    config = checkpoint.config
    assert config is not None  # model_keys refuses a checkpoint without one
    keys = model_keys(checkpoint)
    rows = next((t.shape[0] for t in tensors if t.name == "token_embd.weight"), 0)
    vocabulary = read_vocabulary(path if path.is_dir() else path.parent, config.raw, rows)
    return [*keys, *vocabulary_keys(vocabulary)], vocabulary.warnings


def _layer(name: str) -> int | None:
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "blk" and len(parts) > 2 and parts[1].isdigit() else None
