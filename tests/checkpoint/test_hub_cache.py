from __future__ import annotations

import os
from pathlib import Path

import pytest

from quantgui.checkpoint.hub_cache import cache_folder, cached_models, find_cached, repository_of


def _cached(
    cache: Path, name: str, files: dict[str, bytes], *, revision: str = "abc123", main: str | None = None
) -> Path:
    """A repository as huggingface_hub lays it out: blobs, and a snapshot of links to them."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir(exist_ok=True)
    for file, content in files.items():
        blob = repository / "blobs" / f"{revision}-{file}"
        blob.write_bytes(content)
        (snapshot / file).symlink_to(os.path.relpath(blob, snapshot))
    (repository / "refs").mkdir(exist_ok=True)
    if main is not None:
        (repository / "refs" / "main").write_text(main)
    return snapshot


WEIGHTS = {"model.safetensors": b"x" * 100, "config.json": b"{}"}


def test_models_are_listed_with_their_sizes(tmp_path: Path) -> None:
    snapshot = _cached(tmp_path, "org/name", WEIGHTS)
    _cached(tmp_path, "another", {"model.gguf": b"x"})
    models = cached_models(tmp_path)
    assert [(m.name, m.nbytes) for m in models] == [("another", 1), ("org/name", 102)]
    assert models[1].path == str(snapshot)


def test_the_main_branch_goes_before_a_newer_snapshot(tmp_path: Path) -> None:
    old = _cached(tmp_path, "org/name", WEIGHTS, revision="old", main="old\n")
    new = _cached(tmp_path, "org/name", WEIGHTS, revision="new")
    os.utime(old, (1, 1))
    assert cached_models(tmp_path)[0].path == str(old)
    (tmp_path / "models--org--name" / "refs" / "main").unlink()
    assert cached_models(tmp_path)[0].path == str(new)


@pytest.mark.parametrize("main", ["../../../elsewhere", "..", "", "gone", "a/b", "x" * 1000])
def test_a_reference_that_is_no_revision_is_ignored(tmp_path: Path, main: str) -> None:
    snapshot = _cached(tmp_path, "org/name", WEIGHTS, main=main)
    assert cached_models(tmp_path)[0].path == str(snapshot)


def test_broken_entries_are_passed_over(tmp_path: Path) -> None:
    _cached(tmp_path, "org/good", WEIGHTS)
    _cached(tmp_path, "org/tokenizer-only", {"tokenizer.json": b"{}"})
    (_cached(tmp_path, "org/lost-blob", WEIGHTS) / "../../blobs/abc123-model.safetensors").unlink()
    (tmp_path / "models--org--empty").mkdir()
    (tmp_path / "models--org--file").write_text("not a folder")
    (tmp_path / "datasets--org--data" / "snapshots").mkdir(parents=True)
    assert [m.name for m in cached_models(tmp_path)] == ["org/good"]


def test_no_cache_is_an_empty_list(tmp_path: Path) -> None:
    assert cached_models(tmp_path / "nowhere") == ()


@pytest.mark.parametrize("name", ["org/name", "org/with--dashes", "gpt2"])
def test_a_model_is_found_by_its_name(tmp_path: Path, name: str) -> None:
    _cached(tmp_path, name, WEIGHTS)
    found = find_cached(name, tmp_path)
    assert found is not None
    assert found.name == name
    assert repository_of(Path(found.path)) == name


@pytest.mark.parametrize("name", ["", "../x", "a/b/c", "a b", "org/absent", "org/..", "/abs"])
def test_other_names_find_nothing(tmp_path: Path, name: str) -> None:
    _cached(tmp_path, "org/name", WEIGHTS)
    assert find_cached(name, tmp_path) is None


def test_an_ordinary_folder_is_no_repository() -> None:
    assert repository_of(Path("/models/llama")) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, Path("/a")),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, Path("/b/hub")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/huggingface/hub")),
        ({}, Path.home() / ".cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_hubs_own_tools_keep_it(environment: dict[str, str], expected: Path) -> None:
    assert cache_folder(environment) == expected
