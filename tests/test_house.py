"""Rules of the house that no tool checks: lean imports, small files and functions, words that must not be there."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import quantgui

PACKAGE = Path(quantgui.__file__).resolve().parent
ROOT = PACKAGE.parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "packaging").rglob("*.py")])
HEAVY = (
    *("torch", "transformers", "compressed_tensors", "accelerate", "optimum", "scipy", "pandas", "matplotlib"),
    *("numba", "llvmlite", "xllamacpp", "gguf", "gptqmodel", "torchao", "onnx", "onnxruntime", "pyarrow"),
)
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 50

OPEN_EVERY_PAGE = """
import sys
from quantgui.gui.application import build
app, window, state = build()
window.show()
for page in list(window.pages):
    window.grab_page(page)
state.close()
"""
FIT = """
import sys
from quantgui.__main__ import main
assert main(["fit", "demo", "--hardware", "RTX 3060", "--json"]) == 0
"""
REPORT_IMPORTS = """
import json
print()
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def imported_by(script: str, home: Path) -> set[str]:
    """Top-level modules that a new interpreter has imported after `script`."""
    environment = {**os.environ, "QUANTGUI_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script + REPORT_IMPORTS]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=home)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_opening_every_page_of_the_window_imports_nothing_heavy(home):
    modules = imported_by(OPEN_EVERY_PAGE, home)
    assert "PySide6" in modules
    assert not modules & set(HEAVY)


def test_fit_on_the_command_line_imports_neither_torch_nor_qt(home):
    modules = imported_by(FIT, home)
    assert "quantgui" in modules
    assert not modules & {*HEAVY, "PySide6", "pyqtgraph"}


def test_files_are_short():
    long = {_name(path): count for path in SOURCES if (count := len(_text(path).splitlines())) > MOST_LINES_OF_A_FILE}
    assert not long


def test_functions_are_short():
    """All but the script that trained the demo model, which reads from top to bottom."""
    long = {
        f"{_name(path)}:{node.lineno} {node.name}": length
        for path in SOURCES
        if path.parent.name != "demo_model"
        for node in ast.walk(ast.parse(_text(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := _body_lines(node)) > MOST_LINES_OF_A_FUNCTION
    }
    assert not long


def test_every_module_says_what_it_is_for():
    silent = [_name(path) for path in SOURCES if not ast.get_docstring(ast.parse(_text(path)))]
    assert not silent


def test_the_map_of_the_house_shows_every_room():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    shown = set(re.findall(r"^ +(\w+)(?:/|\.py) ", _text(PACKAGE / "ARCHITECTURE.md"), flags=re.MULTILINE))
    assert rooms <= shown | {"_resources"}


def test_heavy_libraries_are_imported_inside_functions():
    """A module may name them for type checkers, but importing it must not load them."""
    eager = [
        f"{_name(path)} imports {name}"
        for path in SOURCES
        if PACKAGE in path.parents
        and "\n@njit" not in _text(path)  # functions that numba compiles: imported as a whole
        for node in ast.parse(_text(path)).body
        for name in _imported(node)
        if name.split(".")[0] in HEAVY
    ]
    assert not eager


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"\b(TODO|FIXME|XXX|HACK)\b", "unfinished work"),
        (r"(?<![\w.])/(home|root|Users|work|mnt)/[A-Za-z]", "a path of somebody's machine"),
    ],
)
def test_nothing_left_over(pattern, what):
    found = [
        f"{_name(path)}:{number} {line.strip()[:80]}"
        for path in [*SOURCES, *PACKAGE.rglob("*.md"), ROOT / "README.md", ROOT / "pyproject.toml"]
        for number, line in enumerate(_text(path).splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not found, what


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the signature and the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
