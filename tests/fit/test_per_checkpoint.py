from __future__ import annotations

from dataclasses import replace

from quantgui.fit.per_checkpoint import REMEMBERED, per_checkpoint
from quantgui.types import Checkpoint, SourceKind

MODEL = Checkpoint("x", SourceKind.FOLDER, "/x", ())


def test_what_was_computed_for_a_checkpoint_is_remembered() -> None:
    calls = []

    @per_checkpoint
    def counted(checkpoint: Checkpoint) -> int:
        calls.append(checkpoint)
        return len(calls)

    assert [counted(MODEL), counted(MODEL)] == [1, 1]
    others = [replace(MODEL, name=str(number)) for number in range(REMEMBERED)]
    assert [counted(other) for other in others] == list(range(2, REMEMBERED + 2))
    assert counted(MODEL) == REMEMBERED + 2, "only the last few are kept"


def test_an_equal_checkpoint_is_another_one() -> None:
    """Identity is what is compared: hashing the tensors of a large model takes longer than a frame."""
    seen = []
    remember = per_checkpoint(lambda checkpoint: seen.append(checkpoint))
    twin = replace(MODEL)
    remember(MODEL)
    remember(twin)
    assert len(seen) == 2
