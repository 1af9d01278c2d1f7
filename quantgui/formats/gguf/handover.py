"""Handing a GGUF file to the programs that people run it with: Ollama, LM Studio, llama.cpp."""

from __future__ import annotations

import re
import shlex
import zlib
from pathlib import Path

from quantgui.types import UserError

LONGEST_CONTEXT = 8192
"""Ollama reserves memory for the whole context, so a Modelfile does not ask for the longest one a model can take."""
MOST_BYTES = 2**20
"""More than a Modelfile has: what is longer is not ours."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}(?::[a-z0-9][a-z0-9._-]{0,79})?")
_PLAIN = re.compile(r"\w[\w.+-]{0,99}")


_STOPS = {
    "<|eot_id|>": "<|start_header_id|>",
    "<|start_header_id|>": "<|eot_id|>",
    "<|im_end|>": "<|im_start|>",
    "<|im_start|>": "<|im_end|>",
    "<end_of_turn>": "<start_of_turn>",
    "<start_of_turn>": "<end_of_turn>",
    "<|end|>": "<|assistant|>",  # Phi; in gpt-oss's format, which has no <|assistant|>, it ends thoughts too
    "<|user|>": "<|assistant|>",
    "[INST]": "[/INST]",
}
"""Marks at which an answer is over, and for each the other one that a chat template must state as well."""
_NO_CHAT = "{{ .Prompt }}"
"""A model without a chat template continues what it is given."""


def modelfile(path: Path, chat_template: str | None, context_length: int | None) -> str:
    """What `ollama create` reads: the file, how a text is written where it has no chat template, context, and stops.

    A chat template is left to Ollama. Since 0.30 it runs the file's own (Jinja, with tools and thinking); before, it
    looked for it in a list of its own. A TEMPLATE would be used in its place, and any that is made here, for a family
    that is guessed from some marks, is wrong for its next member and knows no tools.
    """
    lines = [f"FROM {_quoted(str(path))}"]
    if not chat_template:
        lines.append(f'TEMPLATE """{_NO_CHAT}"""')
    if context_length:
        lines.append(f"PARAMETER num_ctx {min(context_length, LONGEST_CONTEXT)}")
    stated = chat_template or ""
    lines += [f"PARAMETER stop {_quoted(stop)}" for stop, mark in _STOPS.items() if stop in stated and mark in stated]
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


def llama_command(path: Path) -> str:
    """The command that serves the file with llama.cpp in the model's own context, quoted for a POSIX shell."""
    return shlex.join(["llama-server", "-m", str(path), "-c", "0"])


def lm_studio_path(models: Path, repository: str, file: str, publisher: str = "quantgui") -> Path:
    """Where LM Studio looks for a file: models/<publisher>/<repository>/<file>. Raises UserError for odd names."""
    if not all(_PLAIN.fullmatch(part) for part in (publisher, repository, file)) or not file.lower().endswith(".gguf"):
        raise UserError(
            f"LM Studio cannot list a file called “{file}”.",
            hint="Rename it with letters, digits, dots and dashes, ending in .gguf.",
        )
    return models / publisher / repository / file


def _quoted(text: str) -> str:
    """A Modelfile's string. Raises UserError for a line break, which would begin another instruction."""
    if "\n" in text or "\r" in text or '"' in text:
        raise UserError(f"{text!r} cannot stand in a Modelfile.", hint="Rename the file or its folder.")
    return f'"{text}"'
