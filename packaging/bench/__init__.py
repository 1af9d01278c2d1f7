"""Benchmarks, one module each. A module with NAME, HELP and `run(work) -> dict` is found by its place in this folder.

`run` gets an empty folder to work in and returns numbers with their unit in the key ("seconds", "peak_bytes").
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Benchmark:
    """A named measurement; `run` does it in an empty folder."""

    name: str
    help: str  # one line
    run: Callable[[Path], dict[str, Any]]


def discover() -> dict[str, Benchmark]:
    """Every benchmark by name, sorted. Modules whose name begins with an underscore are shared parts."""
    names = [info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    found = [Benchmark(module.NAME, module.HELP, module.run) for module in modules]
    return {benchmark.name: benchmark for benchmark in sorted(found, key=lambda b: b.name)}
