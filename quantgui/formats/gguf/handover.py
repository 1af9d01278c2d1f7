"""Handing a GGUF file to the programs that people run it with: Ollama, LM Studio, llama.cpp."""

from __future__ import annotations

import re
import shlex
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quantgui.types import UserError

LONGEST_CONTEXT = 8192
"""Ollama reserves memory for the whole context, so a Modelfile does not ask for the longest one a model can take."""
MOST_BYTES = 2**20
"""More than a Modelfile has: what is longer is not ours."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}(?::[a-z0-9][a-z0-9._-]{0,79})?")
_PLAIN = re.compile(r"[\w.+-]{1,80}")


@dataclass(frozen=True, slots=True)
class _Style:
    """How a family writes a conversation: a mark of its Jinja template, the same for Ollama, and where turns end."""

    mark: str
    template: str
    stops: tuple[str, ...]


_STYLES = (
    _Style(
        "<|start_header_id|>",
        "{{ if .System }}<|start_header_id|>system<|end_header_id|>\n\n{{ .System }}<|eot_id|>{{ end }}"
        "{{ if .Prompt }}<|start_header_id|>user<|end_header_id|>\n\n{{ .Prompt }}<|eot_id|>{{ end }}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n{{ .Response }}<|eot_id|>",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    _Style(
        "<|im_start|>",
        "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
        "{{ if .Prompt }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n{{ end }}"
        "<|im_start|>assistant\n{{ .Response }}<|im_end|>\n",
        ("<|im_start|>", "<|im_end|>"),
    ),
    _Style(
        "<start_of_turn>",
        "<start_of_turn>user\n{{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}<end_of_turn>\n"
        "<start_of_turn>model\n{{ .Response }}<end_of_turn>\n",
        ("<start_of_turn>", "<end_of_turn>"),
    ),
    _Style(
        "<|assistant|>",
        "{{ if .System }}<|system|>\n{{ .System }}<|end|>\n{{ end }}"
        "{{ if .Prompt }}<|user|>\n{{ .Prompt }}<|end|>\n{{ end }}<|assistant|>\n{{ .Response }}<|end|>\n",
        ("<|end|>", "<|user|>", "<|assistant|>"),
    ),
    _Style(
        "[INST]",
        "[INST] {{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }} [/INST]{{ .Response }}",
        ("[INST]", "[/INST]"),
    ),
)
"""Looked at in this order; the conventions are those of the models' cards."""
_NO_CHAT = "{{ .Prompt }}"
"""A model without a chat template continues what it is given."""


def modelfile(path: Path, chat_template: str | None, context_length: int | None, stop: Sequence[str] = ()) -> str:
    """What `ollama create` reads: the file, how a conversation is written, the context, and where answers end.

    A chat template of a family that is not known here is left to Ollama, which reads it from the file.
    """
    lines = [f"FROM {_quoted(str(path))}"]
    style = next((style for style in _STYLES if style.mark in (chat_template or "")), None)
    template = style.template if style is not None else _NO_CHAT if not chat_template else ""
    if template:
        lines.append(f'TEMPLATE """{template}"""')
    if context_length:
        lines.append(f"PARAMETER num_ctx {min(context_length, LONGEST_CONTEXT)}")
    stops = dict.fromkeys((*(style.stops if style is not None else ()), *stop))
    lines += [f"PARAMETER stop {_quoted(word)}" for word in stops]
    body = "\n".join(lines) + "\n"
    return f"{_mark(body)}\n{body}"


def modelfile_path(path: Path) -> Path:
    """Where the Modelfile of a GGUF file lies: beside it."""
    return path.with_name(f"{path.name}.Modelfile")


def is_foreign(modelfile: Path) -> bool:
    """Whether a file is there that is not as we wrote it: somebody else's, or changed since. Raises OSError."""
    try:
        with modelfile.open("rb") as stream:
            text = stream.read(MOST_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return False
    mark, _, body = text.partition("\n")
    return mark != _mark(body)


def _mark(body: str) -> str:
    """The first line of our Modelfiles, a comment: its checksum tells whether somebody has changed the rest."""
    return f"# Written by QuantGUI, checksum {zlib.crc32(body.encode()):08x}"


def ollama_name(wanted: str) -> str:
    """A name that Ollama takes, made of lower-case letters, digits, dots and dashes. Raises UserError."""
    name = re.sub(r"[^a-z0-9._:-]+", "-", wanted.lower()).strip("-._:")
    if not _NAME.fullmatch(name):
        raise UserError(f"“{wanted}” cannot be a name in Ollama.", hint="Use letters, digits, dots and dashes.")
    return name


def ollama_command(name: str, modelfile_path: Path) -> str:
    """The command that adds the model to Ollama, quoted for a POSIX shell."""
    return shlex.join(["ollama", "create", name, "-f", str(modelfile_path)])


def llama_command(path: Path, context: int | None = None) -> str:
    """The command that serves the file with llama.cpp, quoted for a POSIX shell."""
    return shlex.join(["llama-server", "-m", str(path), "-c", str(context or 0)])


def lm_studio_path(models: Path, path: Path, publisher: str = "quantgui") -> Path:
    """Where LM Studio looks for a file: models/<publisher>/<repository>/<file>. Raises UserError for odd names."""
    repository = path.stem
    if not _PLAIN.fullmatch(publisher) or not _PLAIN.fullmatch(repository) or path.suffix.lower() != ".gguf":
        raise UserError(
            f"LM Studio cannot list a file called “{path.name}”.",
            hint="Rename it with letters, digits, dots and dashes, ending in .gguf.",
        )
    return models / publisher / repository / path.name


def _quoted(text: str) -> str:
    """A Modelfile's string. Raises UserError for a line break, which would begin another instruction."""
    if "\n" in text or "\r" in text or '"' in text:
        raise UserError(f"{text!r} cannot stand in a Modelfile.", hint="Rename the file or its folder.")
    return f'"{text}"'
