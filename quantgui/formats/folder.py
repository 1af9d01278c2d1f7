"""Everything of an output folder that is not weights: config, index, tokenizer, licence, model card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quantgui.checkpoint.regular_file import is_file, read_capped
from quantgui.formats.plain import Plain
from quantgui.formats.planning import SINGLE_FILE, PlannedFile
from quantgui.formats.registry import formats_of
from quantgui.schemes.assignment import Assignment
from quantgui.types import GB, Checkpoint, UserError

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
CARD = "README.md"
MAX_CARD_BYTES = 4 * 2**20
CODE_SUFFIXES = frozenset({".py", ".so", ".dll", ".dylib", ".sh", ".pkl", ".pickle", ".bin", ".pt"})
CONFIG_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
INDEX_FILE = "model.safetensors.index.json"


def copy_companions(source: Path, target: Path) -> list[str]:
    """Copies tokenizer, generation config, licence and the like.

    Returns one sentence per file that was left out although it seemed to belong to the model. A link is followed if it
    stays in the model's folder or in its repository of the hub's cache; one that leads elsewhere could bring any file
    of this machine into a folder that is going to be shared.
    """
    left_out = []
    for path in sorted({path for pattern in COMPANIONS for path in source.glob(pattern)}):
        if not is_file(path) or path.suffix in CODE_SUFFIXES:
            continue
        try:
            (target / path.name).write_bytes(_companion(source, path, MAX_COMPANION_BYTES))
        except UserError as error:
            left_out.append(f"{path.name} was not copied. {error.message}")
    return left_out


def _companion(source: Path, path: Path, limit: int) -> bytes:
    """What a file beside the weights holds. Raises UserError where it is too large, special, or a link to elsewhere."""
    root = source.resolve()
    homes = [root, *([root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [])]
    if not any(path.resolve().is_relative_to(home) for home in homes):
        raise UserError("It is a link that leads out of the model's folder.", hint="Copy the file into the folder.")
    return read_capped(path, limit)


def output_config(checkpoint: Checkpoint, assignments: Sequence[Assignment]) -> dict[str, Any] | None:
    """The config.json to write: the source's without keys that load code, with dtype and quantization_config.

    None where the source has no config (a bare safetensors file).
    """
    if checkpoint.config is None or not checkpoint.config.raw:
        return None
    config = dict(checkpoint.config.raw)
    used = {a.scheme.storage for a in assignments if a.scheme is not None}
    casts = {storage.dtype for storage in used if isinstance(storage, Plain)}
    quantized = formats_of(assignments)
    if len(casts) == 1 and not quantized:  # beside quantized weights the model computes in the dtype of its scales
        dtype = CONFIG_DTYPES[casts.pop()]
        config.update(dict.fromkeys([key for key in ("dtype", "torch_dtype") if key in config] or ["dtype"], dtype))
    for format_ in quantized:
        config["quantization_config"] = format_.quantization_config(assignments)
    return config


def write_folder(
    source: Path, target: Path, checkpoint: Checkpoint, assignments: Sequence[Assignment], files: Sequence[PlannedFile]
) -> list[str]:
    """Writes config, index, companions and model card into `target`, beside the weights.

    Returns one sentence per file of the source that was left out.
    """
    config = output_config(checkpoint, assignments)
    if config is not None:
        _write_json(target / "config.json", config)
    if [f.name for f in files] != [SINGLE_FILE]:
        weight_map = {t.name: file.name for file in files for t in file.tensors}
        total = sum(t.nbytes for file in files for t in file.tensors)
        _write_json(target / INDEX_FILE, {"metadata": {"total_size": total}, "weight_map": weight_map})
    return copy_companions(source, target) + _write_card(source, target, checkpoint, assignments)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _write_card(source: Path, target: Path, checkpoint: Checkpoint, assignments: Sequence[Assignment]) -> list[str]:
    """The source's model card with a section about this quantization at its end."""
    text, left_out = f"# {' '.join(checkpoint.name.split())}\n", []
    if is_file(source / CARD):
        try:
            text = _companion(source, source / CARD, MAX_CARD_BYTES).decode(errors="replace")
        except UserError as error:
            left_out.append(f"{CARD} was not copied. {error.message}")
    (target / CARD).write_text(text + _card_section(checkpoint, assignments), encoding="utf-8")
    return left_out


def _card_section(checkpoint: Checkpoint, assignments: Sequence[Assignment]) -> str:
    schemes = Counter(a.scheme.id if a.scheme else "kept" for a in assignments)
    rows = "\n".join(f"| {label} | {count} |" for label, count in sorted(schemes.items()))
    size = sum(a.nbytes for a in assignments)
    return (
        "\n\n## Quantized with QuantGUI\n\n"
        f"Tensor data: {size / GB:.3f} GB instead of {checkpoint.nbytes / GB:.3f} GB "
        f"({8 * size / max(checkpoint.parameters, 1):.2f} bits per weight). "
        f"`quantgui.json` holds the recipe, versions and hashes.\n\n| scheme | tensors |\n|---|---|\n{rows}\n"
    )
