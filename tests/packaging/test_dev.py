"""The commands a person types, the checks that CI runs, and the papers that go with them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import bench
import checks
import dev
import environment
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """`dev.py test` with tools that only note their names; `fail` holds the names of those that fail."""
    ran: list[str] = []
    fail: set[str] = set()

    def step(name: str, command: list[str], hint: str) -> tuple[bool, float]:
        ran.append(name)
        return name not in fail, 0.1

    def tests(arguments: list[str]) -> tuple[int, str]:
        ran.append(" ".join(["pytest", *arguments]))
        return (1, "1 failed in 0.1s") if "tests" in fail else (0, "3 passed in 0.1s")

    monkeypatch.setattr(checks, "_quiet_step", step)
    monkeypatch.setattr(checks, "_pytest", tests)
    return ran, fail


def test_every_step_runs_and_pytest_has_the_last_word(steps, capsys):
    ran, _ = steps
    assert checks.run_all(["-k", "x"]) == 0
    assert ran == ["format", "lint", "types", "imports", "pytest -k x"]
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed in 0.1s"


@pytest.mark.parametrize("broken", ["format", "lint", "types", "imports", "tests"])
def test_one_failure_fails_all_but_stops_nothing(steps, broken, capsys):
    ran, fail = steps
    fail.add(broken)
    assert checks.run_all([]) == 1
    assert len(ran) == 5
    assert re.search(rf"{broken} +FAILED", capsys.readouterr().out)


def test_what_a_tool_says_is_shown_only_where_it_fails(capfd, monkeypatch):
    monkeypatch.setattr(environment, "venv_tool", lambda name: sys.executable)
    good, _ = checks._quiet_step("lint", ["python", "-c", "print('chatter')"], "hint")
    bad, _ = checks._quiet_step("lint", ["python", "-c", "print('trouble'); exit(3)"], "do this")
    out = capfd.readouterr().out
    assert (good, bad) == (True, False)
    assert "chatter" not in out
    assert "trouble\n(do this)" in out


def test_pytest_s_output_is_passed_on_and_its_last_line_kept(monkeypatch, capfdbinary):
    monkeypatch.setattr(environment, "venv_python", lambda: Path(sys.executable))
    code, last = checks._pytest(["--version"])
    assert code == 0
    assert last.startswith("pytest ")
    assert last.encode() in capfdbinary.readouterr().out


def test_run_without_a_display_does_the_job_offscreen(monkeypatch):
    commands: list[list[str]] = []
    monkeypatch.setattr(environment, "ensure", lambda *_, **__: Path("python"))
    monkeypatch.setattr(subprocess, "call", lambda command, **_: commands.append(command) or 0)
    monkeypatch.setattr(dev, "has_display", lambda: False)
    assert dev.main(["run"]) == 0
    assert commands[-1][1].endswith("offscreen.py")
    assert dev.main(["run", "fit", "demo"]) == 0
    assert commands[-1] == ["python", "-m", "quantgui", "fit", "demo"]
    monkeypatch.setattr(dev, "has_display", lambda: True)
    assert dev.main(["run"]) == 0
    assert commands[-1] == ["python", "-m", "quantgui"]


def test_what_is_missing_is_one_line_and_exit_code_2(monkeypatch, capsys):
    def lacking(*_: object, **__: object) -> Path:
        raise environment.SetupError("Python is too old.")

    monkeypatch.setattr(environment, "ensure", lacking)
    assert dev.main(["run"]) == 2
    assert capsys.readouterr().err == "Python is too old.\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can lack a display")
@pytest.mark.parametrize(("variable", "expected"), [("DISPLAY", True), ("WAYLAND_DISPLAY", True), ("OTHER", False)])
def test_a_display_is_x_or_wayland(monkeypatch, variable, expected):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv(variable, ":0")
    assert dev.has_display() is expected


def test_every_benchmark_says_what_it_measures():
    found = bench.discover()
    assert "window-start" in found
    for name, benchmark in found.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert benchmark.help
        assert "\n" not in benchmark.help


def test_every_dependency_is_named_with_its_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    papers = (ROOT / "packaging" / "THIRD_PARTY.md").read_text()
    requirements = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = [re.match(r"[\w.-]+", requirement) for requirement in requirements]
    assert [name[0] for name in names if name and name[0] not in papers] == []


def test_what_the_readme_shows_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (ROOT / path).is_file(), path
    for command in re.findall(r"packaging/dev\.py (\w+)", text):
        assert command in dev.COMMANDS
