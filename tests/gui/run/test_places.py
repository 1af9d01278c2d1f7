from __future__ import annotations

from pathlib import Path

from quantgui.gui.run.places import devices, library_folders, look_at, remember_folder, unused_name
from quantgui.jobs.run_record import RECORD_NAME, write_run
from quantgui.types import Accelerator, HardwareTarget
from tests.jobs import samples


def test_only_our_own_run_may_be_replaced(tmp_path: Path) -> None:
    ours, other, empty = tmp_path / "ours", tmp_path / "other", tmp_path / "empty"
    for folder in (ours, other, empty):
        folder.mkdir()
    write_run(ours, samples.record(str(ours)), [])
    (other / "thesis.tex").write_text("x")
    assert look_at(str(ours)).is_replaceable and look_at(str(ours)).taken
    assert look_at(str(other)).taken and not look_at(str(other)).is_replaceable
    assert not look_at(str(empty)).taken
    assert not look_at(str(tmp_path / "new" / "deep")).taken
    assert look_at(str(other / "thesis.tex")).taken


def test_the_disk_of_a_folder_that_does_not_exist_yet_is_known(tmp_path: Path) -> None:
    assert look_at(str(tmp_path / "a" / "b" / "c")).free_bytes == look_at(str(tmp_path)).free_bytes


def test_a_new_name_is_free(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out-2").mkdir()
    assert unused_name(str(tmp_path / "out")) == str(tmp_path / "out-3")
    assert unused_name(str(tmp_path / "free")) == str(tmp_path / "free")


def test_devices_carry_the_names_that_torch_uses() -> None:
    cards = (
        Accelerator("RTX 3060", 12 << 30, vendor="NVIDIA"),
        Accelerator("RTX 4090", 24 << 30, vendor="NVIDIA"),
    )
    assert [device for device, _ in devices(HardwareTarget("x", "this machine", cards))] == ["cpu", "cuda:0", "cuda:1"]
    apple = (Accelerator("Apple M2", 16 << 30, vendor="Apple", unified=True),)
    assert [device for device, _ in devices(HardwareTarget("x", "this machine", apple))] == ["cpu", "mps"]


def test_folders_outside_the_usual_place_are_remembered_once(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    remembered = remember_folder("", str(outputs / "run"), outputs)
    assert remembered == ""
    for _ in range(2):
        remembered = remember_folder(remembered, str(tmp_path / "elsewhere" / "run"), outputs)
    assert library_folders(outputs, remembered) == [outputs, tmp_path / "elsewhere"]


def test_a_gguf_file_is_replaced_only_where_its_record_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.touch()
    assert look_at(str(file)).taken and not look_at(str(file)).is_replaceable
    assert unused_name(str(file)) == str(tmp_path / "x-2.gguf")
    (tmp_path / "x.gguf.quantgui").mkdir()
    (tmp_path / "x.gguf.quantgui" / RECORD_NAME).touch()
    assert look_at(str(file)).is_replaceable
