"""The GPU of an Apple computer: it shares the system's memory, of which Metal names the share it may use."""

from __future__ import annotations

import ctypes
import json
import platform
import sys

from quantgui.hardware.system import run_command
from quantgui.hardware.unified import apple_working_set
from quantgui.types import Accelerator

MIB = 2**20


def gpus() -> tuple[Accelerator, ...]:
    """The GPU of an Apple-silicon Mac; () elsewhere."""
    if sys.platform != "darwin" or platform.machine() != "arm64":
        return ()
    displays = run_command(["system_profiler", "SPDisplaysDataType", "-json"])
    memory = run_command(["sysctl", "-n", "hw.memsize"])
    wired_limit = run_command(["sysctl", "-n", "iogpu.wired_limit_mb"])
    return from_figures(displays, memory, wired_limit, metal_working_set())


def from_figures(displays: str, memory: str, wired_limit_mb: str, working_set: int | None) -> tuple[Accelerator, ...]:
    """The GPU from what the system's tools print.

    Its memory is Metal's working set, else the limit a person set by `iogpu.wired_limit_mb` (0: none), else the stock
    rule. Raises ValueError for output that is not theirs.
    """
    total = int(memory)
    entries = json.loads(displays).get("SPDisplaysDataType", []) if displays.strip() else []
    name = next((str(entry["sppci_model"]) for entry in entries if entry.get("sppci_model")), "Apple GPU")
    stated = int(wired_limit_mb) * MIB if wired_limit_mb.strip().isdigit() else 0
    limit = working_set or stated or apple_working_set(total)
    return (Accelerator(name, min(limit, total), vendor="Apple", marketed_gb=round(total / 2**30), unified=True),)


def metal_working_set() -> int | None:
    """`recommendedMaxWorkingSetSize` of the default Metal device in bytes, None where Metal is not there."""
    if sys.platform != "darwin":
        return None
    try:
        metal = ctypes.CDLL("/System/Library/Frameworks/Metal.framework/Metal")
        runtime = ctypes.CDLL("/usr/lib/libobjc.dylib")
    except OSError:
        return None
    metal.MTLCreateSystemDefaultDevice.restype = ctypes.c_void_p
    runtime.sel_registerName.restype = ctypes.c_void_p
    runtime.sel_registerName.argtypes = [ctypes.c_char_p]
    runtime.objc_msgSend.restype = ctypes.c_uint64
    runtime.objc_msgSend.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    device = metal.MTLCreateSystemDefaultDevice()
    if not device:
        return None
    return runtime.objc_msgSend(device, runtime.sel_registerName(b"recommendedMaxWorkingSetSize")) or None
