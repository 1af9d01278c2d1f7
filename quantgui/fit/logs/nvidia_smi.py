"""The output of nvidia-smi: the table that people paste, and the CSV of `--query-gpu`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from quantgui.fit.logs.reading import MIB, ParsedLog

_ROW = re.compile(r"(\d{1,8}) {0,4}MiB / {1,12}(\d{1,8}) {0,4}MiB")
_NAME = re.compile(r"^\| {1,4}\d{1,3} {1,4}(\S[^|\n]{1,45}?) {1,45}(?:On|Off|N/A|WDDM|TCC|MCDM) {1,4}\|", re.MULTILINE)
_PROCESS = re.compile(
    r"^\| {1,6}\d{1,3} {1,8}(?:\S{1,4} {1,8}\S{1,4} {1,20})?\d{1,10} {1,12}[CGM+]{1,5} {1,8}"
    r"(?P<name>\S[^|\n]{0,80}?) {1,80}(?P<mebibytes>\d{1,8})MiB",
    re.MULTILINE,
)
_MODEL_PROGRAM = re.compile(r"llama|ollama|python|vllm|lm.?studio|koboldcpp|text-generation|sglang|mlx", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Gpu:
    name: str
    used: int
    total: int


def is_nvidia_smi(text: str) -> bool:
    """Whether the text is nvidia-smi's table or its CSV with memory columns."""
    return _ROW.search(text) is not None or bool(list(_csv_gpus(text)))


def parse_nvidia_smi(text: str) -> ParsedLog:
    """Memory in use: of the programs that run models where processes are listed, else of everything."""
    gpus = list(_csv_gpus(text)) or list(_table_gpus(text))
    found = (match for match in _PROCESS.finditer(text) if _MODEL_PROGRAM.search(match["name"]))
    programs = [int(match["mebibytes"]) * MIB for match in found]
    if programs:
        used, note = sum(programs), "Counted are the programs that run models."
    else:
        used = sum(gpu.used for gpu in gpus)
        note = "Counted is everything on the GPUs, the desktop and other programs too."
    return ParsedLog(
        source="nvidia-smi",
        runtime=None,
        device_names=tuple(gpu.name for gpu in gpus if gpu.name),
        used_bytes=used,
        notes=(note,),
    )


def _table_gpus(text: str) -> Iterator[_Gpu]:
    names = _NAME.findall(text)
    for index, match in enumerate(_ROW.finditer(text)):
        name = names[index] if index < len(names) else ""
        yield _Gpu(name.strip(), int(match[1]) * MIB, int(match[2]) * MIB)


def _csv_gpus(text: str) -> Iterator[_Gpu]:
    """Rows under a header that names memory.used; units are MiB, written or not."""
    lines = [line for line in text.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if "memory.used" in line and "," in line), None)
    if start is None:
        return
    columns = [column.split("[")[0].strip() for column in lines[start].split(",")]
    for line in lines[start + 1 :]:
        (row,) = csv.reader([line], skipinitialspace=True)  # by itself: an open quotation mark ends with its line
        values = dict(zip(columns, row, strict=False))
        used, total = _mib(values.get("memory.used")), _mib(values.get("memory.total"))
        if used is not None:
            yield _Gpu(values.get("name", values.get("gpu_name", "")).strip(), used, total or 0)


def _mib(text: str | None) -> int | None:
    match = re.match(r"\s*(\d{1,8})", text or "")
    return int(match[1]) * MIB if match else None
