from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from quantgui.hardware import probe
from quantgui.types import GIB, Accelerator, Provenance


@pytest.fixture
def no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in (probe.nvidia, probe.amd, probe.apple):
        monkeypatch.setattr(vendor, "gpus", lambda: ())


@pytest.mark.usefixtures("no_gpus")
def test_a_machine_without_gpus(tmp_path: Path) -> None:
    machine = probe.this_machine(tmp_path)
    assert machine.kind == "this machine"
    assert machine.provenance is Provenance.MEASURED
    assert machine.accelerators == ()
    assert (machine.ram_bytes or 0) >= (machine.ram_available_bytes or 0) > 0
    assert machine.disk_free_bytes


@pytest.mark.usefixtures("no_gpus")
def test_figures_that_drivers_do_not_tell_come_from_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Accelerator("NVIDIA GeForce RTX 3060", 12_884_901_888, 11 * GIB, vendor="NVIDIA")
    unknown = Accelerator("NVIDIA Prototype 9", 8 * GIB, 8 * GIB, vendor="NVIDIA")
    monkeypatch.setattr(probe.nvidia, "gpus", lambda: (card, unknown))
    known, other = probe.this_machine().accelerators
    assert (known.bandwidth, known.marketed_gb, known.free_bytes) == (360e9, 12, 11 * GIB)
    assert other == unknown


@pytest.mark.usefixtures("no_gpus")
def test_a_failing_probe_becomes_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> tuple[Accelerator, ...]:
        raise RuntimeError("driver and library differ")

    monkeypatch.setattr(probe.nvidia, "gpus", broken)
    machine = probe.this_machine()
    assert "NVIDIA" in machine.note
    assert "driver and library differ" in machine.note
    assert machine.ram_bytes, "the rest is still read"


@pytest.mark.usefixtures("no_gpus")
def test_a_hanging_probe_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hangs() -> tuple[Accelerator, ...]:
        release.wait(30)
        return ()

    monkeypatch.setattr(probe, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(probe.amd, "gpus", hangs)
    try:
        assert "AMD GPUs (no answer within 0.05 s)" in probe.this_machine().note
    finally:
        release.set()


def test_torch_is_never_imported() -> None:
    code = (
        "import sys; from quantgui.hardware.probe import this_machine; this_machine(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
