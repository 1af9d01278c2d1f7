from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantgui.checkpoint.local_stores import MODEL_LAYER, StoredModel, stored_models, stored_name

DIGEST = "a" * 64
LAYER = {"mediaType": MODEL_LAYER, "digest": f"sha256:{DIGEST}", "size": 5}


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    blobs = tmp_path / ".ollama/models/blobs"
    blobs.mkdir(parents=True)
    (blobs / f"sha256-{DIGEST}").write_bytes(b"GGUF!")
    return blobs / f"sha256-{DIGEST}"


@pytest.fixture
def manifest(tmp_path: Path, blob: Path) -> Callable[..., None]:
    def write(content: Any, place: str = "registry.ollama.ai/library/llama3.2/latest") -> None:
        path = tmp_path / ".ollama/models/manifests" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    return write


def found(home: Path, **environment: str) -> list[StoredModel]:
    return list(stored_models(environment, home))


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("registry.ollama.ai/library/llama3.2/1b", "llama3.2:1b"),
        ("registry.ollama.ai/somebody/model/latest", "somebody/model:latest"),
        ("hf.co/org/repo/Q4_K_M", "hf.co/org/repo:Q4_K_M"),
    ],
)
def test_models_of_ollama(place: str, name: str, tmp_path: Path, blob: Path, manifest: Callable[..., None]) -> None:
    manifest({"schemaVersion": 2, "layers": [{"mediaType": "application/vnd.ollama.image.license"}, LAYER]}, place)
    assert found(tmp_path) == [StoredModel(name, str(blob), 5, "Ollama")]
    assert stored_name(str(blob), {}, tmp_path) == name
    assert stored_name(str(tmp_path / "model.gguf"), {}, tmp_path) is None


def test_ollama_may_keep_its_models_elsewhere(tmp_path: Path, manifest: Callable[..., None]) -> None:
    manifest({"layers": [LAYER]})
    assert not found(tmp_path / "nobody")
    assert len(found(tmp_path / "nobody", OLLAMA_MODELS=str(tmp_path / ".ollama/models"))) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 100_000,
        b"x" * (1 << 20 | 1),
        b'{"layers": [], "layers": []}',
        [LAYER],
        {"layers": "none"},
        {"layers": [LAYER, LAYER]},
        {"layers": [LAYER] + [{}] * 100},
        {"layers": [{**LAYER, "digest": "sha256:../../../../etc/passwd"}]},
        {"layers": [{**LAYER, "digest": f"sha256:{DIGEST}/../x"}]},
        {"layers": [{**LAYER, "digest": 7}]},
        {"layers": [{**LAYER, "digest": "sha256:" + "b" * 64}]},
        {"layers": [{**LAYER, "size": 6}]},
    ],
)
def test_hostile_manifests_are_passed_over(content: Any, tmp_path: Path, manifest: Callable[..., None]) -> None:
    manifest(content)
    assert not found(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_place_of_a_manifest_does_not_block(tmp_path: Path, manifest: Callable[..., None]) -> None:
    manifest({"layers": [LAYER]})
    os.mkfifo(tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/llama3.2/pipe")
    assert [model.name for model in found(tmp_path)] == ["llama3.2:latest"]


def test_links_that_lead_back_are_not_followed(tmp_path: Path, manifest: Callable[..., None]) -> None:
    manifest({"layers": [LAYER]})
    manifests = tmp_path / ".ollama/models/manifests"
    (manifests / "circle").symlink_to(manifests, target_is_directory=True)
    assert len(found(tmp_path)) == 1


def test_models_of_lm_studio(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio/models/org/repo-GGUF"
    folder.mkdir(parents=True)
    for name in ("m-Q4_K_M.gguf", "mmproj-m.gguf", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf", "README.md"):
        (folder / name).write_bytes(b"123")
    assert [(model.name, model.program) for model in found(tmp_path)] == [
        ("org/repo-GGUF/b-00001-of-00002.gguf", "LM Studio"),
        ("org/repo-GGUF/m-Q4_K_M.gguf", "LM Studio"),
    ]
