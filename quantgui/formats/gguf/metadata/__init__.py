"""The keys of a GGUF file that describe the model: its name, its sizes, its positions, its pooling."""

from __future__ import annotations

import re
from collections.abc import Iterable

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, text
from quantgui.formats.gguf.metadata.architectures import BUILDERS
from quantgui.formats.gguf.metadata.pooling import pooling_keys
from quantgui.formats.gguf.metadata.rope import rope_of
from quantgui.formats.gguf.metadata.state_space import inner_norms_fit
from quantgui.formats.gguf.names import layout_of
from quantgui.types import Checkpoint, ModelConfig, UserError

__all__ = ["BUILDERS", "model_keys", "model_warnings"]

_WITHOUT_WINDOWS = frozenset(
    {"dots1", "llama", "mistral3", "phi3", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "starcoder2"}
)
"""Architectures in which llama.cpp always lets every token see all before it."""


_NAMED_PHI3 = re.compile(r"(phi)-?(3)", re.IGNORECASE)
_PHI3_TOKENS = frozenset({"<unk>", "<s>", "</s>", "<|endoftext|>"})
"""What llama.cpp looks up in a file whose name says Phi-3, and cannot load it without."""


def check_convertible(config: ModelConfig | None) -> None:
    """Raises UserError for an architecture whose keys are not known here."""
    if layout_of(config).architecture not in BUILDERS:
        kind = config.model_type if config is not None else ""
        raise UserError(
            f"Models of the kind “{kind}” cannot be converted to GGUF yet.",
            hint="Its sizes are known, its keys are not. Use llama.cpp's own converter.",
        )


def model_keys(checkpoint: Checkpoint, tokens: Iterable[str]) -> list[KeyValue]:
    """Everything but the tokenizer and the file type, from config.json and what lies beside it.

    `tokens` are the texts of the vocabulary, on which the name depends.
    Raises UserError for an architecture that is not converted here, and for a config that asks for what llama.cpp
    cannot do.
    """
    config = checkpoint.config
    check_convertible(config)
    architecture = layout_of(config).architecture
    assert config is not None  # layout_of refuses a checkpoint without one
    builder = BUILDERS[architecture]
    return [
        text("general.architecture", architecture),
        text("general.type", "model"),
        text("general.name", _model_name(checkpoint.name, tokens)),
        *builder(Keys(config), architecture),
        *pooling_keys(checkpoint, architecture),
    ]


def _model_name(name: str, tokens: Iterable[str]) -> str:
    """The model's name; without the mark of Phi-3 ("Phi 3") where the vocabulary is another one."""
    if not _NAMED_PHI3.search(name) or _PHI3_TOKENS.issubset(tokens):
        return name
    return _NAMED_PHI3.sub(r"\1 \2", name)


def model_warnings(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What the config asks for that llama.cpp leaves out, where short texts do not notice. One sentence each."""
    config = checkpoint.config
    if config is None:
        return ()
    keys = Keys(config)
    window = _window_left_out(keys, config.context_length) if layout_of(config).architecture in _WITHOUT_WINDOWS else 0
    warnings = []
    if window:
        warnings.append(
            f"This model looks back over a window of {window:,} tokens; llama.cpp looks at everything, "
            "so longer texts come out differently."
        )
    rope = rope_of(keys)
    if rope.kind == "yarn" and rope.settings.get("truncate") is False:
        warnings.append(
            "llama.cpp blends this model's rotary frequencies over a range of whole dimensions, "
            "so long texts come out a little differently."
        )
    if config.model_type == "falcon_mamba" and not inner_norms_fit(keys):
        warnings.append(
            "llama.cpp adds another small number in the norms inside of this model's layers, "
            "so its numbers come out a little differently."
        )
    return tuple(warnings)


def _window_left_out(keys: Keys, context: int | None) -> int:
    """Tokens of a window that matters, 0 where there is none; some configs state 0 for none."""
    window = keys.count("sliding_window")
    matters = keys.flag("use_sliding_window", True) and (context is None or window < context)
    return window if matters else 0
