"""Runs named benchmarks: a readable line each on stderr, one JSON object on stdout."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 when every benchmark ran, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; all without a name")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON to FILE instead of stdout")
    options = parser.parse_args(argv)
    found = bench.discover()
    if options.list:
        print("\n".join(f"{benchmark.name:24} {benchmark.help}" for benchmark in found.values()))
        return 0
    unknown = [name for name in options.names if name not in found]
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are: {', '.join(found)}.", file=sys.stderr)
        return 2
    results = {name: measure(found[name]) for name in options.names or found}
    text = json.dumps({"machine": machine(), "results": results}, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 1 if any("error" in result for result in results.values()) else 0


def measure(benchmark: bench.Benchmark) -> dict[str, Any]:
    """The benchmark's numbers, or what went wrong; one that fails does not stop the others."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"bench-{benchmark.name}-") as work:
        try:
            result = benchmark.run(Path(work))
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
    numbers = ", ".join(f"{key} {_readable(value)}" for key, value in result.items())
    print(f"{benchmark.name:24} {numbers}  ({time.perf_counter() - started:.1f} s in all)", file=sys.stderr, flush=True)
    return result


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}


def _readable(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
