"""The functions of llama.h that are used here, declared for ctypes.

The structs of parameters grow between versions, so only their leading fields are named, the rest is room that the
library fills with its own defaults; those fields are compared with known defaults before the first use.
"""

from __future__ import annotations

import ctypes
from collections import deque
from functools import cache
from typing import Any

from quantgui.formats.gguf.llama_library import exported, library_version, llama_library
from quantgui.types import UserError

_INT, _UINT, _POINTER = ctypes.c_int32, ctypes.c_uint32, ctypes.c_void_p
_ROOM = 256
"""Bytes after the named fields: the largest of these structs has 160 bytes in the pinned version."""
MAX_LOG_LINES = 40
_PROBLEMS = (3, 4)
"""`enum ggml_log_level`: warning and error."""

_LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, _POINTER)
_log: deque[str] = deque(maxlen=MAX_LOG_LINES)


class ModelParameters(ctypes.Structure):
    """The leading fields of `struct llama_model_params`."""

    _fields_ = (
        ("devices", _POINTER),
        ("buffer_overrides", _POINTER),
        ("gpu_layers", _INT),
        ("_room", ctypes.c_uint8 * _ROOM),
    )


class ContextParameters(ctypes.Structure):
    """The fields of `struct llama_context_params` up to the types of the cache."""

    _fields_ = (
        ("context", _UINT),
        ("batch", _UINT),
        ("micro_batch", _UINT),
        ("_sequences", _UINT * 4),
        ("threads", _INT),
        ("threads_batch", _INT),
        ("context_type", _INT),
        ("rope_scaling", _INT),
        ("pooling", _INT),
        ("attention", _INT),
        ("flash_attention", _INT),
        ("_rope", _UINT * 8),
        ("_callback", _POINTER * 2),
        ("type_k", _INT),
        ("type_v", _INT),
        ("_room", ctypes.c_uint8 * _ROOM),
    )


class Batch(ctypes.Structure):
    """`struct llama_batch`: null pointers stand for one sequence that continues where it was."""

    _fields_ = (
        ("tokens", _INT),
        ("token", _POINTER),
        ("embeddings", _POINTER),
        ("position", _POINTER),
        ("sequence_count", _POINTER),
        ("sequence", _POINTER),
        ("outputs", _POINTER),
    )


_STRING, _SIZE = ctypes.c_char_p, ctypes.c_size_t
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "llama_model_default_params": (ModelParameters, ()),
    "llama_context_default_params": (ContextParameters, ()),
    "llama_model_load_from_file": (_POINTER, (_STRING, ModelParameters)),
    "llama_model_free": (None, (_POINTER,)),
    "llama_model_get_vocab": (_POINTER, (_POINTER,)),
    "llama_model_n_ctx_train": (_INT, (_POINTER,)),
    "llama_model_n_embd": (_INT, (_POINTER,)),
    "llama_model_has_encoder": (ctypes.c_bool, (_POINTER,)),
    "llama_model_has_decoder": (ctypes.c_bool, (_POINTER,)),
    "llama_model_decoder_start_token": (_INT, (_POINTER,)),
    "llama_vocab_type": (ctypes.c_int, (_POINTER,)),
    "llama_vocab_n_tokens": (_INT, (_POINTER,)),
    "llama_vocab_bos": (_INT, (_POINTER,)),
    "llama_vocab_eos": (_INT, (_POINTER,)),
    "llama_vocab_get_add_bos": (ctypes.c_bool, (_POINTER,)),
    "llama_vocab_is_eog": (ctypes.c_bool, (_POINTER, _INT)),
    "llama_tokenize": (_INT, (_POINTER, _STRING, _INT, _POINTER, _INT, ctypes.c_bool, ctypes.c_bool)),
    "llama_token_to_piece": (_INT, (_POINTER, _INT, _POINTER, _INT, _INT, ctypes.c_bool)),
    "llama_init_from_model": (_POINTER, (_POINTER, ContextParameters)),
    "llama_free": (None, (_POINTER,)),
    "llama_get_memory": (_POINTER, (_POINTER,)),
    "llama_memory_clear": (None, (_POINTER, ctypes.c_bool)),
    "llama_set_embeddings": (None, (_POINTER, ctypes.c_bool)),
    "llama_encode": (_INT, (_POINTER, Batch)),
    "llama_decode": (_INT, (_POINTER, Batch)),
    "llama_get_logits": (_POINTER, (_POINTER,)),
    "llama_get_embeddings": (_POINTER, (_POINTER,)),
    "llama_n_ctx": (_UINT, (_POINTER,)),
    "llama_log_set": (None, (_POINTER, _POINTER)),
}


@cache
def llama_api() -> ctypes.CDLL:
    """The library, declared, its structs checked and its log kept. Raises UserError where it is missing or too new."""
    library = llama_library()
    missing = [name for name in _SIGNATURES if not exported(library, name)]
    if missing:
        raise _wrong_version(f"missing: {', '.join(missing)}")
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.llama_log_set(_keep_line, None)
    defaults = library.llama_context_default_params()
    found = (defaults.context, defaults.batch, defaults.micro_batch, defaults.threads, defaults.threads_batch)
    kinds = (defaults.pooling, defaults.flash_attention, defaults.type_k, defaults.type_v)
    if (found, kinds) != (
        (512, 2048, 512, 4, 4),
        (-1, -1, 1, 1),
    ) or library.llama_model_default_params().gpu_layers != -1:
        raise _wrong_version(f"unexpected defaults: {found}, {kinds}")
    return library


def recent_log() -> str:
    """The last warnings and errors that llama.cpp logged, for the details of an error."""
    return "".join(_log)


@_LogCallback
def _keep_line(level: int, text: bytes, data: object) -> None:
    if level in _PROBLEMS:
        _log.append(text.decode("utf-8", "replace"))


def _wrong_version(details: str) -> UserError:
    return UserError(
        f"xllamacpp {library_version()} is not a version that this program knows.",
        hint="Install the one that it names in pyproject.toml.",
        details=details,
    )
