"""Two ways to continue a text, token by token: llama.cpp for GGUF files, transformers for Hugging Face folders."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from quantgui.formats.gguf.runtime.llama import LlamaContext, LlamaModel
from quantgui.pipeline.device import choose_device
from quantgui.pipeline.library_model import load_model
from quantgui.pipeline.llama_check import check_continues
from quantgui.quality.text import load_tokenizer

if TYPE_CHECKING:
    import numpy as np
    import torch

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer shows in place of a character whose last bytes have not come yet."""


class Speaker(Protocol):
    """A model in the middle of one text: first the prompt's tokens, then room for them and what follows."""

    def begin(self, prompt: str) -> list[int]:
        """The token ids of the prompt."""
        ...

    def make_room(self, length: int) -> None:
        """Loads what is not loaded yet, for a text of so many tokens."""
        ...

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """Logits [vocabulary] for the token after these, which follow all those given before."""
        ...

    def ends(self, token: int) -> bool:
        """Whether the model has finished with this token."""
        ...

    def text(self, token: int) -> str:
        """What becomes readable with this token; "" in the middle of a character."""
        ...


class LlamaSpeaker:
    """A GGUF file in llama.cpp."""

    def __init__(self, model: LlamaModel, threads: int, opened: ExitStack) -> None:
        self._model, self._threads, self._opened = model, threads, opened
        self._context: LlamaContext | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def begin(self, prompt: str) -> list[int]:
        """The token ids of the prompt."""
        return self._model.tokenize(prompt, add_special=True, parse_special=True)

    def make_room(self, length: int) -> None:
        """The cache, which is closed with the model."""
        self._context = self._opened.enter_context(self._model.context(length, threads=self._threads))

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """Logits [vocabulary] for the next token."""
        assert self._context is not None
        return self._context.logits(tokens)[-1]

    def ends(self, token: int) -> bool:
        """Whether the model has finished with this token."""
        return self._model.ends_generation(token)

    def text(self, token: int) -> str:
        """What becomes readable with this token."""
        return self._decoder.decode(self._model.piece(token))


@contextmanager
def llama_speaker(path: Path, threads: int) -> Iterator[LlamaSpeaker]:
    """Opens a GGUF file. Raises UserError for models with an encoder."""
    with LlamaModel(path) as model, ExitStack() as opened:
        check_continues(model)
        yield LlamaSpeaker(model, threads, opened)


class TransformersSpeaker:
    """A Hugging Face folder in transformers, quantized ones as their library runs them."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder, self._device = folder, device
        self._tokenizer = load_tokenizer(folder)
        self._model: Any = None
        self._past: Any = None
        self._ends: set[int] = set()
        self._line: list[int] = []  # tokens since the last line break
        self._shown = 0  # characters of their text that were given

    def begin(self, prompt: str) -> list[int]:
        """The token ids of the prompt."""
        return self._tokenizer(prompt, verbose=False).input_ids

    def make_room(self, length: int) -> None:
        """The model; its cache grows with the text."""
        self._model = load_model(self._folder).to(self._device)
        ends = self._model.generation_config.eos_token_id
        self._ends = set(ends) if isinstance(ends, list) else {ends}

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """Logits [vocabulary] for the next token."""
        import torch

        ids = torch.tensor([list(tokens)], device=self._model.device)
        with torch.inference_mode():
            output = self._model(input_ids=ids, past_key_values=self._past, use_cache=True)
        self._past = output.past_key_values
        return output.logits[0, -1].float().cpu().numpy()

    def ends(self, token: int) -> bool:
        """Whether the model has finished with this token."""
        return token in self._ends

    def text(self, token: int) -> str:
        """What becomes readable with this token."""
        self._line.append(token)
        # A token alone may read otherwise than after those before it, so the line is read from its start.
        line = self._tokenizer.decode(self._line, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if line.endswith(UNFINISHED):
            return ""
        new, self._shown = line[self._shown :], len(line)
        if line.endswith("\n"):
            self._line, self._shown = [], 0
        return new


@contextmanager
def transformers_speaker(folder: Path, device: str, threads: int) -> Iterator[TransformersSpeaker]:
    """Opens a folder. Raises UserError where it has no tokenizer or cannot be loaded."""
    import torch

    torch.set_num_threads(threads)
    yield TransformersSpeaker(folder, choose_device(device))
