"""A GGUF model in llama.cpp: load, tokenize, decode, read logits. Child process only: a damaged file can end it."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from quantgui.formats.gguf.runtime.api import Batch, ContextParameters, llama_api, recent_log
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import UserError

_POOLING_NONE = 0
_NO_VOCABULARY = 0
"""`LLAMA_VOCAB_TYPE_NONE`."""


class LlamaModel:
    """An open GGUF file. A context manager; everything made from it must be closed before it."""

    def __init__(self, path: Path | str) -> None:
        """Maps the file. Raises UserError where llama.cpp cannot load it."""
        self._api = llama_api()
        self._model = self._api.llama_model_load_from_file(os.fsencode(path), self._api.llama_model_default_params())
        if not self._model:
            raise UserError(
                f"llama.cpp cannot load {Path(path).name}.",
                hint="The file may be damaged, or its architecture is newer than this version of llama.cpp.",
                details=recent_log(),
            )
        self._vocabulary = self._api.llama_model_get_vocab(self._model)

    def __enter__(self) -> LlamaModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the model; a second call does nothing."""
        if self._model:
            self._api.llama_model_free(self._model)
            self._model = None

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, the length of a row of logits."""
        return self._api.llama_vocab_n_tokens(self._vocabulary)

    @property
    def context_length(self) -> int:
        """Tokens the model was trained for."""
        return self._api.llama_model_n_ctx_train(self._model)

    @property
    def embedding_size(self) -> int:
        """Width of the hidden state."""
        return self._api.llama_model_n_embd(self._model)

    @property
    def bos(self) -> int | None:
        """The token that begins a text, None where there is none."""
        return _token(self._api.llama_vocab_bos(self._vocabulary))

    @property
    def eos(self) -> int | None:
        """The token that ends a text, None where there is none."""
        return _token(self._api.llama_vocab_eos(self._vocabulary))

    @property
    def adds_bos(self) -> bool:
        """Whether `tokenize(add_special=True)` begins with `bos`."""
        return self._api.llama_vocab_get_add_bos(self._vocabulary)

    @property
    def has_encoder(self) -> bool:
        """Whether a text must be read by `LlamaContext.encode` before the decoder answers it (T5)."""
        return self._api.llama_model_has_encoder(self._model)

    @property
    def has_decoder(self) -> bool:
        """Whether the model predicts tokens at all (T5's encoder alone does not)."""
        return self._api.llama_model_has_decoder(self._model)

    @property
    def decoder_start(self) -> int:
        """The token with which the answer of a model with an encoder begins."""
        start = _token(self._api.llama_model_decoder_start_token(self._model))
        return start if start is not None else self.bos or 0

    def ends_generation(self, token: int) -> bool:
        """Whether a model that says this token has finished (end of text, of turn or of message)."""
        return self._api.llama_vocab_is_eog(self._vocabulary, token)

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Token ids of `text`; `parse_special` reads "<|im_end|>" as one token instead of as text.

        Raises UserError for a model without a tokenizer (llama.cpp would end the process).
        """
        if self._api.llama_vocab_type(self._vocabulary) == _NO_VOCABULARY:
            raise UserError(
                "The file has no tokenizer, so text cannot be turned into the model's tokens.",
                hint="Convert the original model again, with its tokenizer files in the folder.",
            )
        data = text.encode("utf-8")
        room = len(data) + 8
        for _ in range(2):
            ids = (ctypes.c_int32 * room)()
            count = self._api.llama_tokenize(self._vocabulary, data, len(data), ids, room, add_special, parse_special)
            if count >= 0:
                return ids[:count]
            room = -count
        raise UserError("llama.cpp cannot tokenize the text.", details=recent_log())

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token: a part of a UTF-8 text. Special tokens are empty unless `special`."""
        room = 64
        for _ in range(2):
            buffer = ctypes.create_string_buffer(room)
            count = self._api.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            room = -count
        raise UserError(f"llama.cpp has no text for token {token}.", details=recent_log())

    @contextlib.contextmanager
    def context(
        self,
        length: int,
        *,
        batch: int = 512,
        threads: int = 1,
        cache_type: str = "F16",
        flash_attention: bool | None = None,
    ) -> Iterator[LlamaContext]:
        """Room for a text of `length` tokens. For exact logits: `cache_type="F32"`, `flash_attention=False`."""
        parameters = self._api.llama_context_default_params()
        parameters.context, parameters.batch, parameters.micro_batch = length, min(batch, length), min(batch, length)
        parameters.threads = parameters.threads_batch = threads
        parameters.type_k = parameters.type_v = BY_NAME[cache_type].id
        parameters.flash_attention = -1 if flash_attention is None else int(flash_attention)
        opened = LlamaContext(self, parameters)
        try:
            yield opened
        finally:
            opened.close()

    @contextlib.contextmanager
    def encoder(self, length: int, *, threads: int = 1) -> Iterator[LlamaContext]:
        """Like `context` for a model that turns texts into vectors: all tokens see each other."""
        parameters = self._api.llama_context_default_params()
        parameters.context = parameters.batch = parameters.micro_batch = length
        parameters.threads = parameters.threads_batch = threads
        parameters.pooling, parameters.flash_attention = _POOLING_NONE, 0
        opened = LlamaContext(self, parameters)
        try:
            yield opened
        finally:
            opened.close()


class LlamaContext:
    """The state of one text: what was decoded so far is kept until `clear`. Made by `LlamaModel.context`."""

    def __init__(self, model: LlamaModel, parameters: ContextParameters) -> None:
        self._api = llama_api()
        self._model = model
        self._batch = parameters.batch
        self._context = self._api.llama_init_from_model(model._model, parameters)
        if not self._context:
            raise UserError(
                "llama.cpp cannot make room for the text.", hint="Try a shorter context.", details=recent_log()
            )
        self._used = 0

    def close(self) -> None:
        """Frees the state; a second call does nothing."""
        if self._context:
            self._api.llama_free(self._context)
            self._context = None

    @property
    def length(self) -> int:
        """Tokens there is room for."""
        return self._api.llama_n_ctx(self._context)

    def clear(self) -> None:
        """Forgets the text."""
        self._api.llama_memory_clear(self._api.llama_get_memory(self._context), True)
        self._used = 0

    def logits(self, tokens: Sequence[int], *, every: bool = False) -> np.ndarray:
        """Decodes tokens after those before; float32 logits [1, vocabulary] of the last, or of `every` [n, vocabulary].

        Raises UserError where the context is full or llama.cpp fails.
        """
        if self._used + len(tokens) > self.length:
            raise UserError(f"The text is longer than the context of {self.length:,} tokens.")
        parts = []
        for start in range(0, len(tokens), self._batch):
            part = np.asarray(tokens[start : start + self._batch], np.int32)
            wanted = np.zeros(len(part), np.int8)
            wanted[0 if every else -1 :] = 1
            self._check(self._api.llama_decode(self._context, _batch(part, wanted)))
            self._used += len(part)
            if every or start + self._batch >= len(tokens):
                address = self._api.llama_get_logits(self._context)
                parts.append(_floats(address, int(wanted.sum()), self._model.vocabulary_size))
        return np.concatenate(parts)

    def encode(self, tokens: Sequence[int]) -> None:
        """Lets the encoder read a whole text, which the decoder's next tokens answer."""
        ids = np.asarray(tokens, np.int32)
        self._check(self._api.llama_encode(self._context, _batch(ids, np.ones(len(ids), np.int8))))

    def embeddings(self, tokens: Sequence[int]) -> np.ndarray:
        """The encoder's output float32 [n, embedding size] for one whole text."""
        self._api.llama_set_embeddings(self._context, True)
        self.encode(tokens)
        return _floats(self._api.llama_get_embeddings(self._context), len(tokens), self._model.embedding_size)

    def _check(self, code: int) -> None:
        if code:
            raise UserError("llama.cpp could not compute the next tokens.", details=f"code {code}\n{recent_log()}")


def _token(value: int) -> int | None:
    return value if value >= 0 else None


def _batch(tokens: np.ndarray, outputs: np.ndarray) -> Batch:
    """The struct points into both arrays, which must outlive the call."""
    return Batch(len(tokens), tokens.ctypes.data, None, None, None, None, outputs.ctypes.data)


def _floats(address: int | None, rows: int, columns: int) -> np.ndarray:
    if not address:
        raise UserError("llama.cpp gave no result for these tokens.", details=recent_log())
    values = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(values, (rows, columns)).copy()
