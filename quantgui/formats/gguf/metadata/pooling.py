"""How an embedding model makes one vector of a text, as sentence-transformers states it beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from quantgui.checkpoint.regular_file import is_file, read_capped
from quantgui.formats.gguf.key_values import KeyValue, u32
from quantgui.types import Checkpoint, UserError

MAX_BYTES = 2**20
_KINDS: Mapping[str, int] = {"mean": 1, "cls": 2, "lasttoken": 3}
"""`enum llama_pooling_type`."""


def pooling_keys(checkpoint: Checkpoint, prefix: str) -> list[KeyValue]:
    """The key of the pooling; none where nothing is stated. Raises UserError for a kind llama.cpp does not have."""
    if not checkpoint.path:
        return []
    path = Path(checkpoint.path)
    folder = path if path.is_dir() else path.parent
    modules = _read(folder / "modules.json")
    for module in modules if isinstance(modules, list) else []:
        if isinstance(module, Mapping) and str(module.get("type", "")).endswith("Pooling"):
            settings = _read(_inside(folder, str(module.get("path", ""))) / "config.json")
            return [u32(f"{prefix}.pooling_type", _kind(settings))]
    return []


def _kind(settings: Any) -> int:
    settings = settings if isinstance(settings, Mapping) else {}
    stated = {
        name: settings.get(f"pooling_mode_{name}_tokens", settings.get(f"pooling_mode_{name}")) for name in _KINDS
    }
    stated["cls"] = stated["cls"] or settings.get("pooling_mode_cls_token")
    chosen = [name for name, on in stated.items() if on] or [str(settings.get("pooling_mode"))]
    if len(chosen) != 1 or chosen[0] not in _KINDS:
        raise UserError(f"llama.cpp has no pooling of the kind {' and '.join(chosen)}.")
    return _KINDS[chosen[0]]


def _inside(folder: Path, part: str) -> Path:
    """A folder of the model. Raises UserError for one that lies elsewhere."""
    if Path(part).is_absolute() or ".." in Path(part).parts:
        raise UserError("The model's modules.json points outside of its folder.")
    return folder / part


def _read(path: Path) -> Any:
    if not is_file(path):
        return None
    try:
        return msgspec.json.decode(read_capped(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path.name} of the embedding model cannot be read.", details=str(error)) from None
