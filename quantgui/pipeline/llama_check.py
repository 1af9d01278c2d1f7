"""Whether llama.cpp reads a GGUF file as it was meant: it loads, continues a text, and cuts texts into our tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quantgui.checkpoint.regular_file import is_file
from quantgui.formats.gguf.llama_library import library_version
from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.pipeline.source import source_folder
from quantgui.types import Checkpoint, SourceKind, UserError

GREEDY_TOKENS = 8
PROMPT_TOKENS = 16
CONTEXT = 64
TEXTS = (
    "The quick brown fox jumps over 13 lazy dogs.",
    "def f(x):\n\treturn {'a': x ** 2,  'b': [1, 22, 333, 4444]}  # it's 3.14\r\n\n\n",
    "Ünïcödé, Ελληνικά, русский, 中文漢字, 日本語かな, 한국어, हिन्दी, العربية, ไทย",
    "  two  spaces   three    four\ttab\n\n new paragraph ",
    "🙂👩‍👩‍👧‍👦🇩🇪 I'LL don't we've THEY'RE «quotes» “curly” …—–",
    "<|not a token|> <s> </s> [CLS] https://example.org/a?b=c&d=%20",
)
"""Texts in which tokenizers differ: code, spaces, numbers, scripts, contractions, what looks like special tokens."""


@dataclass(frozen=True)
class LlamaFindings:
    """What llama.cpp said. `words` continues "llama.cpp loaded the file"."""

    library: str
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    words: str = ""


def check_in_llama(path: Path, source: Checkpoint) -> LlamaFindings:
    """Loads and runs the file. Raises UserError where llama.cpp cannot load it."""
    library = f"xllamacpp {library_version()}"
    with LlamaModel(path) as model:
        failures = _run(model, source)
        warnings, compared = _other_tokens(model, source)
    words = ", computed with it" + (f", cut {compared} difficult texts into the same tokens" if compared else "")
    return LlamaFindings(library, failures, warnings, words)


def _run(model: LlamaModel, source: Checkpoint) -> tuple[str, ...]:
    """A few tokens, each the likeliest; an encoder reads a text first. What fails is that a result is not finite."""
    import numpy as np

    tokens = [token % model.vocabulary_size for token in range(PROMPT_TOKENS)]
    if not (predicts_text(source) and model.has_decoder):
        with model.encoder(CONTEXT) as context:
            return () if np.isfinite(context.embeddings(tokens)).all() else ("its vectors are not finite",)
    with model.context(CONTEXT) as context:
        if model.has_encoder:
            context.encode(tokens)
            tokens = [model.decoder_start]
        for _ in range(GREEDY_TOKENS):
            logits = context.logits(tokens)
            if not np.isfinite(logits).all():
                return ("its predictions are not finite",)
            tokens = [int(logits[-1].argmax())]
    return ()


def predicts_text(source: Checkpoint) -> bool:
    """Whether a model continues texts; encoders turn them into vectors."""
    config = source.config
    if config is None:
        return True
    if source.kind is SourceKind.GGUF:
        return config.raw.get(f"{config.model_type}.attention.causal") is not False
    return "bert" not in config.model_type


def check_continues(model: LlamaModel) -> None:
    """Raises UserError for a model with an encoder, alone or before a decoder: it does not continue texts."""
    if model.has_encoder or not model.has_decoder:
        raise UserError(
            "The model reads a text with an encoder, so it cannot continue one.",
            hint="Choose a model that predicts the next token.",
        )


def _other_tokens(model: LlamaModel, source: Checkpoint) -> tuple[tuple[str, ...], int]:
    """A warning where texts become other tokens than with the source's tokenizer, and how many texts were the same."""
    path = source_folder(source) / "tokenizer.json"
    if source.kind is SourceKind.GGUF or not is_file(path):
        return (), 0
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    different = [
        text
        for text in TEXTS
        if tokenizer.encode(text, add_special_tokens=False).ids != model.tokenize(text, parse_special=True)
    ]
    if not different:
        return (), len(TEXTS)
    share = f"{len(different)} of {len(TEXTS)} difficult texts"
    warning = f"llama.cpp cuts {share} into other tokens than the model's own tokenizer, for example {different[0]!r}."
    return (warning,), 0
