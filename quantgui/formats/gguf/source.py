"""What a GGUF file is made of: the tensors, facts and keys of a Hugging Face checkpoint or of another GGUF file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quantgui.checkpoint.gguf_checkpoint import check_is_model
from quantgui.checkpoint.gguf_header import read_raw_keys
from quantgui.formats.gguf.key_values import KeyValue, ValueKind
from quantgui.formats.gguf.metadata import check_convertible, model_keys, model_warnings
from quantgui.formats.gguf.mixtures import ModelFacts
from quantgui.formats.gguf.names import GgufTensor, gguf_tensors, layout_of
from quantgui.formats.gguf.tokenizer import Vocabulary, read_vocabulary, vocabulary_keys
from quantgui.types import Checkpoint, SourceKind, UserError

FLOAT_TYPES = ("BF16", "F16", "F32")
_REPLACED = frozenset(
    {
        *("general.quantization_version", "general.file_type", "general.alignment"),
        *("split.no", "split.count", "split.tensors.count"),
    }
)
"""Keys of another GGUF file that do not hold for the new one."""


def architecture_of(checkpoint: Checkpoint) -> str:
    """general.architecture. Raises UserError where it is not known."""
    config = checkpoint.config
    if checkpoint.kind is not SourceKind.GGUF:
        return layout_of(config).architecture
    if config is None:
        check_is_model(checkpoint)
        raise UserError("The GGUF file does not state its architecture.", hint="Convert the original model again.")
    return config.model_type


def kept_type(checkpoint: Checkpoint) -> str:
    """The float type of what stays as in the source: that of most weights, F16 where those are no such floats."""
    return checkpoint.dtype if checkpoint.dtype in FLOAT_TYPES else "F16"


def tensors_of(checkpoint: Checkpoint) -> tuple[GgufTensor, ...]:
    """The tensors in llama-quantize's order: by (layer, name), those outside layers first."""
    if checkpoint.kind is not SourceKind.GGUF:
        return gguf_tensors(checkpoint)
    made = (GgufTensor(t.name, t.shape, (t.name,), _layer(t.name)) for t in checkpoint.tensors)
    return tuple(sorted(made, key=lambda t: (-1 if t.layer is None else t.layer, t.name)))


def facts_of(checkpoint: Checkpoint, tensors: Sequence[GgufTensor]) -> ModelFacts:
    """What the type plan asks about a model. Raises UserError for an unknown architecture."""
    architecture, config = architecture_of(checkpoint), checkpoint.config
    assert config is not None  # there is no architecture without one
    kv_heads = config.num_kv_heads or config.num_heads or 0
    by_layer = checkpoint.kind is not SourceKind.GGUF and layout_of(config).kv_heads_by_layer
    if by_layer and all(tensor.name != "blk.0.attn_k.weight" for tensor in tensors):
        kv_heads = 0  # llama.cpp asks the first layer
    return ModelFacts(
        architecture=architecture,
        layers=1 + max((tensor.layer for tensor in tensors if tensor.layer is not None), default=-1),
        heads=config.num_heads or 0,
        kv_heads=kv_heads,
        experts=max((tensor.shape[0] for tensor in tensors if tensor.name.endswith("_exps.weight")), default=0),
    )


def keys_of(checkpoint: Checkpoint, tensors: Sequence[GgufTensor]) -> tuple[list[KeyValue], tuple[str, ...]]:
    """The keys of the new file without its file type, and what a person should know about them.

    Raises UserError for a model or tokenizer that cannot be converted.
    """
    if checkpoint.kind is SourceKind.GGUF:
        kept = ((key, entry) for key, entry in read_raw_keys(Path(checkpoint.path)) if key not in _REPLACED)
        return [KeyValue(key, ValueKind.STRING, raw=entry) for key, entry in kept], ()
    check_convertible(checkpoint.config)  # a missing tokenizer is not what stands in the way of others
    rows = next((tensor.shape[0] for tensor in tensors if tensor.name == "token_embd.weight"), 0)
    vocabulary = vocabulary_of(checkpoint, rows)
    keys = [*model_keys(checkpoint, vocabulary.texts), *vocabulary_keys(vocabulary)]
    return keys, (*model_warnings(checkpoint), *vocabulary.warnings)


def vocabulary_of(checkpoint: Checkpoint, rows: int) -> Vocabulary:
    """The tokenizer beside a checkpoint, as long as the embedding has rows. Raises UserError where there is none."""
    path, config = Path(checkpoint.path), checkpoint.config
    return read_vocabulary(path if path.is_dir() else path.parent, config.raw if config else {}, rows)


def _layer(name: str) -> int | None:
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "blk" and len(parts) > 2 and parts[1].isdecimal() else None
