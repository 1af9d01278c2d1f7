"""The log that llama.cpp, and whatever embeds it, writes while it loads a model; builds from 2023 to 2026.

Old builds write `llm_load_tensors: CUDA0 buffer size = 4155.99 MiB`, new ones `load_tensors: CUDA0 model buffer size =
4403.49 MiB`; caches with sliding windows have two lines, which add up; buffers that are reserved again replace the
earlier ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from quantgui.fit.logs.reading import MIB, LogSize, ParsedLog, size_in_bytes
from quantgui.types import MemoryKind, Runtime

_SIZE = re.compile(
    r"(?P<device>[A-Za-z]\w{0,40}) {1,40}(?P<what>(?:model|KV|RS|compute|output)?) {0,4}buffer size {0,4}="
    r" {0,20}(?P<number>\d[\d,]{0,12}(?:\.\d{1,6})?) {0,4}(?P<unit>[KMG]i?B)\b"
)
_KINDS = {
    "": MemoryKind.WEIGHTS,
    "model": MemoryKind.WEIGHTS,
    "KV": MemoryKind.KV_CACHE,
    "RS": MemoryKind.KV_CACHE,
    "compute": MemoryKind.COMPUTE,
    "output": MemoryKind.COMPUTE,
}
_COLUMNS = {
    MemoryKind.WEIGHTS: "model",
    MemoryKind.KV_CACHE: "context",
    MemoryKind.COMPUTE: "compute",
    MemoryKind.OVERHEAD: "rest",
}
_ADD_UP = ("", "model", "KV", "RS")
_HOST = re.compile(r"^(CPU|BLAS|.*_Host$)")
_OFFLOADED = re.compile(r"offloaded (\d{1,5})/(\d{1,5}) layers to GPU")
_DEVICE = re.compile(r"(?:using device \w{1,20} \(|Device \d{1,3}: )(?P<name>[^,)\n]{1,80})")
_CONTEXT = re.compile(r"\bn_ctx {0,20}= {0,20}(\d{1,9})\b")
_SLOTS = re.compile(r"\bn_seq_max {0,20}= {0,20}(\d{1,6})\b")
_KV_TYPE = re.compile(r"\bK \((\w{1,8})\):")
_BREAKDOWN = re.compile(
    r"- (?P<device>\w{1,20}) \((?P<name>[^|\n]{1,80}?)\)(?::| {0,60}\|)"
    r" {0,20}(?P<total>\d{1,9}) = {1,20}\d{1,9} \+ {1,20}\( {0,20}\d{1,9} ="
    r" {0,20}(?P<model>\d{1,9}) \+ {0,20}(?P<context>\d{1,9}) \+ {0,20}(?P<compute>\d{1,9})\)"
    r" \+ {0,20}(?P<rest>-?\d{1,20})"
)
"""The table that builds since late 2025 print. Before a load its last column is a difference without meaning."""


def is_llama_cpp(text: str) -> bool:
    """Whether the text holds a line that only llama.cpp writes."""
    return _SIZE.search(text) is not None or _BREAKDOWN.search(text) is not None


def parse_llama_cpp(text: str) -> ParsedLog:
    """Buffers, layers, context and devices of one load; of several loads in one text the sums."""
    sizes = tuple(_sizes(text.splitlines())) or tuple(_breakdown(text))
    offloaded = _OFFLOADED.findall(text)
    kv_types = _KV_TYPE.findall(text)
    names = [match["name"].strip() for pattern in (_DEVICE, _BREAKDOWN) for match in pattern.finditer(text)]
    return ParsedLog(
        source="llama.cpp",
        runtime=Runtime.LLAMA_CPP,
        sizes=sizes,
        device_names=tuple(dict.fromkeys(names)),
        context=_last_number(_CONTEXT, text),
        slots=_last_number(_SLOTS, text),
        kv_dtype=kv_types[-1].lower() if kv_types else "",
        gpu_layers=int(offloaded[-1][0]) if offloaded else None,
        total_layers=int(offloaded[-1][1]) if offloaded else None,
    )


def _sizes(lines: Sequence[str]) -> Iterable[LogSize]:
    """One size per device and kind; what is reserved again counts once, with its last size."""
    summed: dict[tuple[str, str, int], LogSize] = {}
    for number, line in enumerate(lines):
        match = _SIZE.search(line)
        if match is None:
            continue
        device, what = match["device"], match["what"]
        size = LogSize(
            kind=_KINDS[what],
            device=device,
            nbytes=size_in_bytes(match["number"], match["unit"]),
            line=line.strip()[:300],
            on_host=_HOST.match(device) is not None,
        )
        summed[device, what, number if what in _ADD_UP else -1] = size
    return summed.values()


def _breakdown(text: str) -> Iterable[LogSize]:
    """The last table's rows, in MiB; what it cannot account for is overhead."""
    last = {match["device"]: match for match in _BREAKDOWN.finditer(text)}
    for device, match in last.items():
        for kind, column in _COLUMNS.items():
            mebibytes = int(match[column])
            if 0 <= mebibytes <= int(match["total"]):
                yield LogSize(kind, device, mebibytes * MIB, match[0])


def _last_number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.findall(text)
    return int(found[-1]) if found else None
