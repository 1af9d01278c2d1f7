"""The same hardware with another number of accelerators."""

from __future__ import annotations

import re
from dataclasses import replace

from quantgui.hardware.catalogue import MAX_COUNT
from quantgui.types import HardwareTarget, UserError

_COUNTED = re.compile(r"^\d+ × ")


def can_be_several(target: HardwareTarget) -> bool:
    """Whether the number of accelerators can be chosen: dedicated ones that are all alike, not found in this machine.

    What this machine has is a fact, and several computers with unified memory do not share it.
    """
    gpus = target.accelerators
    return bool(gpus) and not target.is_unified and len(set(gpus)) == 1 and target.kind != "this machine"


def with_count(target: HardwareTarget, count: int) -> HardwareTarget:
    """`target` with `count` of its accelerator; its RAM stays. Raises UserError where that cannot be chosen."""
    if not can_be_several(target):
        raise UserError(f"The number of devices of {target.name} cannot be changed.", hint="Choose another device.")
    if not 1 <= count <= MAX_COUNT:
        raise UserError(f"{count} devices are not possible.", hint=f"Choose between 1 and {MAX_COUNT}.")
    name = _COUNTED.sub("", target.name)
    gpus = (target.accelerators[0],) * count
    return replace(target, name=name if count == 1 else f"{count} × {name}", accelerators=gpus)
