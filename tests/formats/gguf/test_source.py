"""What is said of GGUF files that hold no model."""

import pytest

from quantgui.checkpoint.gguf_checkpoint import _OTHER_KINDS
from quantgui.formats.gguf.source import architecture_of
from quantgui.types import Checkpoint, SourceKind, UserError


@pytest.mark.parametrize("kind", sorted(_OTHER_KINDS))
def test_a_file_of_something_else_is_called_what_it_is(kind: str) -> None:
    file = Checkpoint("x", SourceKind.GGUF, "/x.gguf", (), notes=(_OTHER_KINDS[kind],))
    with pytest.raises(UserError, match="is not a language model") as caught:
        architecture_of(file)
    assert _OTHER_KINDS[kind] in caught.value.hint


def test_a_file_that_says_nothing_of_itself_is_refused() -> None:
    with pytest.raises(UserError, match="does not state its architecture"):
        architecture_of(Checkpoint("x", SourceKind.GGUF, "/x.gguf", ()))
