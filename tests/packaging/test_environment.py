"""`dev.py` installs when something changed, not otherwise, and says in one line what it lacks."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import environment
import pytest
import system_libraries


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a `.venv` whose pip is a recorder: each call adds a line to `pip-calls`."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    venv = tmp_path / ".venv"
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", venv)
    monkeypatch.setattr(environment, "STAMP", venv / "quantgui-installed.json")
    monkeypatch.setattr(environment, "LOG", venv / "install.log")
    monkeypatch.setattr(system_libraries, "ensure", lambda venv, screen: None)
    return tmp_path


@pytest.fixture
def pip(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The pip commands that were given; making the `.venv` is a folder with an interpreter in it."""
    calls: list[list[str]] = []

    def make_venv() -> None:
        environment.venv_python().parent.mkdir(parents=True)
        environment.venv_python().write_text("")

    def call(command: list[str], **_: object) -> int:
        calls.append(command)
        return 0

    monkeypatch.setattr(environment, "_make_venv", make_venv)
    monkeypatch.setattr(environment, "_works", lambda python, code: Path(python).exists())
    monkeypatch.setattr(subprocess, "call", call)
    return calls


def test_the_second_start_calls_nothing(pip):
    environment.ensure()
    environment.ensure()
    assert len(pip) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no fcntl")
def test_a_second_command_waits_for_the_first_and_installs_nothing_of_its_own(pip, monkeypatch):
    second = threading.Thread(target=environment.ensure)

    def slow(command: list[str], **_: object) -> int:
        pip.append(command)
        second.start()
        second.join(0.3)  # the other one arrives, and would install if it did not wait
        return 0

    monkeypatch.setattr(subprocess, "call", slow)
    environment.ensure()
    second.join(10)
    assert not second.is_alive()
    assert len(pip) == 1


def test_a_changed_pyproject_installs_again(pip, checkout):
    environment.ensure()
    (checkout / "pyproject.toml").write_text("[project]\nname = 'y'\n")
    environment.ensure()
    assert len(pip) == 2


def test_extras_are_added_and_never_lost(pip):
    environment.ensure()
    environment.ensure(("test",))
    environment.ensure()
    assert [command[-1] for command in pip] == [".", ".[test]"]


def test_an_interrupted_installation_is_done_again(pip, monkeypatch):
    def interrupted(command: list[str], **_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "call", interrupted)
        with pytest.raises(KeyboardInterrupt):
            environment.ensure()
    environment.ensure()
    assert len(pip) == 1


def test_a_failed_installation_names_the_log_and_stays_incomplete(pip, checkout, monkeypatch):
    def fails(command: list[str], stdout, **_: object) -> int:
        stdout.write("Collecting x\nERROR: No matching distribution found for x\nsome more\n")
        return 1

    monkeypatch.setattr(subprocess, "call", fails)
    with pytest.raises(environment.SetupError, match=r"No matching distribution.*install\.log"):
        environment.ensure()
    assert not (checkout / ".venv" / "quantgui-installed.json").exists()


def test_a_vanished_interpreter_is_noticed(pip):
    environment.ensure()
    environment.venv_python().unlink()
    environment.venv_python().parent.rmdir()
    environment.ensure()
    assert len(pip) == 2


def test_without_a_supported_python_it_says_so(monkeypatch):
    monkeypatch.setattr(environment, "_works", lambda python, code: False)
    with pytest.raises(environment.SetupError, match=r"3\.11, 3\.12 or 3\.13"):
        environment.find_interpreter()


def test_without_venv_it_names_the_package(monkeypatch):
    monkeypatch.setattr(environment, "_works", lambda python, code: code == "import sys")
    monkeypatch.setattr(system_libraries, "apt_install", lambda packages: False)
    with pytest.raises(environment.SetupError, match="-venv"):
        environment.find_interpreter()


def test_a_real_environment_is_made_with_pip(checkout):
    environment._make_venv()
    assert environment._works(environment.venv_python(), "import pip")


@pytest.mark.parametrize("name", ["dev.py", "environment.py", "system_libraries.py", "checks.py"])
def test_an_old_python_can_read_it(name):
    """What runs before an interpreter is chosen is written in the language of Python 3.8, standard library only."""
    folder = Path(environment.__file__).parent
    tree = ast.parse((folder / name).read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {"environment", "system_libraries", "checks"}
    assert {module.split(".")[0] for module in imported} <= sys.stdlib_module_names | own
