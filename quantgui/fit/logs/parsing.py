"""Which program wrote a pasted text, and what it says."""

from __future__ import annotations

import re

from quantgui.fit.logs.llama_cpp import is_llama_cpp, parse_llama_cpp
from quantgui.fit.logs.nvidia_smi import is_nvidia_smi, parse_nvidia_smi
from quantgui.fit.logs.reading import ParsedLog
from quantgui.fit.logs.vllm import is_vllm, parse_vllm
from quantgui.types import UserError

MAX_CHARACTERS = 5_000_000
"""A day of a server's log; the lines looked for are among the first of a load."""
MAX_LINE = 4_000
_COLORS = re.compile(r"\x1b?\[\d{1,3}(?:;\d{1,3}){0,4}m")
"""Terminal colours, with or without the escape that copying loses."""
_READERS = ((is_vllm, parse_vllm), (is_llama_cpp, parse_llama_cpp), (is_nvidia_smi, parse_nvidia_smi))


def parse_log(text: str) -> ParsedLog:
    """Reads a log of llama.cpp or vLLM, or the output of nvidia-smi. Raises UserError for anything else."""
    if len(text) > MAX_CHARACTERS:
        raise UserError(
            f"This text is too long: {len(text):,} characters.",
            hint="Paste the part that is written while the model is loaded.",
        )
    plain = "\n".join(_COLORS.sub("", line[:MAX_LINE]) for line in text.splitlines())
    for recognizes, parse in _READERS:
        if recognizes(plain):
            parsed = parse(plain)
            if parsed.sizes or parsed.used_bytes is not None:
                return parsed
    raise UserError(
        "No memory figures were found in this text." if text.strip() else "There is no text.",
        hint="Paste what llama.cpp or vLLM writes while it loads a model, or the output of nvidia-smi.",
    )
