from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from quantgui.checkpoint.torch_file import load_torch_tensors, open_torch
from quantgui.types import SourceKind, UserError

TENSORS = {
    "model.layers.0.mlp.up_proj.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "model.norm.weight": torch.ones(4, dtype=torch.bfloat16),
    "scalar": torch.tensor(3, dtype=torch.int64),
}


class Evil:
    """Runs a command when it is unpickled without protection."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.witness}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_give_the_same_tensors(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "weights.pt"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    checkpoint = open_torch(path)
    assert (checkpoint.name, checkpoint.kind, checkpoint.path) == ("weights", SourceKind.TORCH, str(path))
    assert {t.name: (t.shape, t.dtype, t.nbytes, t.file) for t in checkpoint.tensors} == {
        "model.layers.0.mlp.up_proj.weight": ((3, 4), "F32", 48, "weights.pt"),
        "model.norm.weight": ((4,), "BF16", 8, "weights.pt"),
        "scalar": ((), "I64", 8, "weights.pt"),
    }
    loaded = load_torch_tensors(path)
    assert all(torch.equal(loaded[name], value) for name, value in TENSORS.items())


@pytest.mark.parametrize("wrap", [lambda t: {"state_dict": t}, lambda t: {"epoch": 3, "model": {"state_dict": t}}])
def test_weights_nested_by_training_programs_are_found(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    torch.save(wrap(TENSORS), tmp_path / "a.pt")
    assert load_torch_tensors(tmp_path / "a.pt").keys() == TENSORS.keys()


def test_what_is_not_a_tensor_is_left_out(tmp_path: Path) -> None:
    torch.save(TENSORS | {"step": 3, "name": "x"}, tmp_path / "a.pt")
    assert load_torch_tensors(tmp_path / "a.pt").keys() == TENSORS.keys()


def test_a_tied_head_is_counted_once(tmp_path: Path) -> None:
    embedding = torch.ones(6, 4)
    torch.save({"embed.weight": embedding, "lm_head.weight": embedding}, tmp_path / "a.pt")
    checkpoint = open_torch(tmp_path / "a.pt")
    assert checkpoint.parameters == 24
    assert "shares its data with embed.weight" in checkpoint.notes[0]


def _folder(tmp_path: Path) -> Path:
    names = list(TENSORS)
    torch.save({names[0]: TENSORS[names[0]]}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({n: TENSORS[n] for n in names[1:]}, tmp_path / "pytorch_model-00002-of-00002.bin")
    weight_map = {name: f"pytorch_model-0000{1 if name == names[0] else 2}-of-00002.bin" for name in names}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / "config.json").write_text('{"model_type": "llama", "hidden_size": 4}')
    return tmp_path


def test_a_sharded_folder(tmp_path: Path) -> None:
    checkpoint = open_torch(_folder(tmp_path))
    assert {t.name for t in checkpoint.tensors} == TENSORS.keys()
    assert checkpoint.config is not None
    assert checkpoint.config.hidden_size == 4


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (_folder(tmp_path) / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(UserError, match=r"“pytorch_model-00002-of-00002\.bin” is missing"):
        open_torch(tmp_path)


def _save(content: Callable[[Path], Any], **options: Any) -> Callable[[Path, Path], None]:
    return lambda path, witness: torch.save(content(witness), path, **options)


def _dump(protocol: int) -> Callable[[Path, Path], None]:
    def write(path: Path, witness: Path) -> None:
        path.write_bytes(pickle.dumps({"a": Evil(witness)}, protocol))

    return write


def _script(path: Path, witness: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("constants.pkl", "data.pkl", "version", "code/__torch__.py"):
            archive.writestr(f"m/{name}", b"3\n")


CODE: dict[str, Callable[[Path, Path], None]] = {
    "zip format": _save(lambda witness: {"a": Evil(witness)}),
    "zip format, protocol 4": _save(lambda witness: {"a": torch.ones(1), "b": Evil(witness)}, pickle_protocol=4),
    "legacy format": _save(lambda witness: {"a": Evil(witness)}, _use_new_zipfile_serialization=False),
    "a whole module": _save(lambda witness: torch.nn.Linear(2, 2)),
    "bare pickle, protocol 2": _dump(2),
    "bare pickle, protocol 4": _dump(4),
    "TorchScript": _script,
}


@pytest.mark.parametrize("case", CODE)
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, case: str) -> None:
    path, witness = tmp_path / "evil.bin", tmp_path / "witness"
    CODE[case](path, witness)
    with pytest.raises(UserError, match=r"“evil\.bin” contains code.*, which QuantGUI never runs\.") as caught:
        open_torch(path)
    assert "safetensors" in caught.value.hint
    assert not witness.exists()


def _truncated(zipped: bool) -> bytes:
    path = Path(os.environ["QUANTGUI_HOME"]) / "whole.bin"
    torch.save({"a": torch.ones(1000)}, path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes()[:2000]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda: _truncated(True), "is damaged"),
        (lambda: _truncated(False), "is damaged"),
        (lambda: b"PK\x03\x04 no zip at all", "is damaged"),
        (lambda: b"\x80\x02 no pickle at all", "is damaged"),
        (lambda: b"", "is damaged"),
    ],
)
def test_a_damaged_file_is_one_clear_sentence(tmp_path: Path, content: Callable[[], bytes], expected: str) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(content())
    with pytest.raises(UserError, match=expected) as caught:
        open_torch(path)
    assert "bad.bin" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([torch.ones(2)], "holds a list"),
        (torch.ones(2), "holds a Tensor"),
        ({"epoch": 3}, "holds no tensors"),
        ({}, "holds no tensors"),
        ({"a": torch.ones(2, 2).to_sparse()}, "sparse"),
        ({"a\nb": torch.ones(2)}, "unprintable"),
    ],
)
def test_content_that_is_no_model(tmp_path: Path, content: object, expected: str) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(UserError, match=expected):
        open_torch(tmp_path / "odd.pt")
