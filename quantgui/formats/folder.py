"""Everything of an output folder that is not weights: config, index, tokenizer, licence, model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quantgui.formats.plain import Plain
from quantgui.formats.planning import SINGLE_FILE, PlannedFile
from quantgui.formats.registry import formats_of
from quantgui.schemes.assignment import Assignment
from quantgui.types import GB, Checkpoint

COMPANIONS = (
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "spiece.model",
    "sentencepiece*.model",
    "chat_template*",
    "*processor_config.json",
    "modules.json",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "USE_POLICY*",
)
"""Files that come along, as globs. Code never does."""
MAX_COMPANION_BYTES = 256 * 2**20
CODE_SUFFIXES = frozenset({".py", ".so", ".dll", ".dylib", ".sh", ".pkl", ".pickle", ".bin", ".pt"})
CONFIG_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
INDEX_FILE = "model.safetensors.index.json"


def copy_companions(source: Path, target: Path) -> list[str]:
    """Copies tokenizer, generation config, licence and the like; returns the names. Links are followed into copies."""
    copied = []
    for pattern in COMPANIONS:
        for path in sorted(source.glob(pattern)):
            wanted = path.is_file() and path.suffix not in CODE_SUFFIXES and not (target / path.name).exists()
            if wanted and path.stat().st_size <= MAX_COMPANION_BYTES:
                shutil.copyfile(path, target / path.name)
                copied.append(path.name)
    return copied


def output_config(checkpoint: Checkpoint, assignments: Sequence[Assignment]) -> dict[str, Any] | None:
    """The config.json to write: the source's without keys that load code, with dtype and quantization_config.

    None where the source has no config (a bare safetensors file).
    """
    if checkpoint.config is None or not checkpoint.config.raw:
        return None
    config = dict(checkpoint.config.raw)
    used = {a.scheme.storage for a in assignments if a.scheme is not None}
    casts = {storage.dtype for storage in used if isinstance(storage, Plain)}
    if len(casts) == 1:
        dtype = CONFIG_DTYPES[casts.pop()]
        config.update(dict.fromkeys([key for key in ("dtype", "torch_dtype") if key in config] or ["dtype"], dtype))
    for format_ in formats_of(assignments):
        config["quantization_config"] = format_.quantization_config(assignments)
    return config


def write_folder(
    source: Path, target: Path, checkpoint: Checkpoint, assignments: Sequence[Assignment], files: Sequence[PlannedFile]
) -> None:
    """Writes config, index, companions and model card into `target`, beside the weights."""
    config = output_config(checkpoint, assignments)
    if config is not None:
        _write_json(target / "config.json", config)
    if [f.name for f in files] != [SINGLE_FILE]:
        weight_map = {t.name: file.name for file in files for t in file.tensors}
        total = sum(t.nbytes for file in files for t in file.tensors)
        _write_json(target / INDEX_FILE, {"metadata": {"total_size": total}, "weight_map": weight_map})
    copy_companions(source, target)
    _write_card(source, target, checkpoint, assignments)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _write_card(source: Path, target: Path, checkpoint: Checkpoint, assignments: Sequence[Assignment]) -> None:
    """The source's model card with a section about this quantization at its end."""
    original = source / "README.md"
    text = original.read_text(encoding="utf-8", errors="replace") if original.is_file() else f"# {checkpoint.name}\n"
    schemes: dict[str, int] = {}
    for assignment in assignments:
        label = assignment.scheme.id if assignment.scheme else "kept"
        schemes[label] = schemes.get(label, 0) + 1
    rows = "\n".join(f"| {label} | {count} |" for label, count in sorted(schemes.items()))
    size = sum(a.nbytes for a in assignments)
    text += (
        "\n\n## Quantized with QuantGUI\n\n"
        f"Tensor data: {size / GB:.3f} GB instead of {checkpoint.nbytes / GB:.3f} GB "
        f"({8 * size / max(checkpoint.parameters, 1):.2f} bits per weight). "
        f"`quantgui.json` holds the recipe, versions and hashes.\n\n| scheme | tensors |\n|---|---|\n{rows}\n"
    )
    (target / "README.md").write_text(text, encoding="utf-8")
