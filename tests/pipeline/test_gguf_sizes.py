"""The predicted size of a GGUF file is the written one, to the byte: every file type of every architecture.

For every architecture the size shown before is that of the plan, under every type; the plans are then written for some
types, others for each architecture. (All nine hundred of them were written once and had their size.) Most
models are too narrow for blocks of 256 weights and show what stands in for them; one is wide enough and, like the
bundled model in `test_gguf_bytes.py`, written in every type.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf.file_types import FILE_TYPES, FileType
from quantgui.formats.gguf.imatrix import read_imatrix
from quantgui.formats.gguf.plan import plan_gguf, planned_types
from quantgui.formats.gguf.size import gguf_rows
from quantgui.formats.gguf.source import kept_type, tensors_of
from quantgui.formats.gguf.type_plan import PlanOptions, needs_imatrix
from quantgui.types import Checkpoint
from tests.pipeline.gguf_architectures import MODELS
from tests.pipeline.gguf_bytes import convert
from tests.pipeline.gguf_models import write_importance
from tests.pipeline.test_gguf_logits import saved

pytestmark = pytest.mark.slow

WRITTEN = 4
"""Types in which each architecture is written."""
NAMES = [name for index, name in enumerate(MODELS) if MODELS[name][0] not in {c for c, _ in [*MODELS.values()][:index]}]
"""The first model of each class."""
WIDE: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1, "num_local_experts": 4}


def distinct(checkpoint: Checkpoint) -> dict[str, bool]:
    """Types that give some tensor another type than those before, and whether each needs an importance matrix."""
    seen, found = set(), {}
    for kind in FILE_TYPES.values():
        tensors, types = planned_types(checkpoint, kind, PlanOptions(source_type=kept_type(checkpoint)))
        weighted = needs_imatrix(tensors, types, kind)
        if (types, weighted) not in seen:
            seen.add((types, weighted))
            found[kind.name] = weighted
    return found


class Sized:
    """A model, its importance matrix, and the sizes that are shown before."""

    def __init__(self, folder: Path, class_name: str, sizes: dict[str, Any]) -> None:
        saved(folder, class_name, sizes)
        self.folder, self.checkpoint = folder, open_checkpoint(folder)
        self.matrix = write_importance(folder.with_name("matrix.gguf"), tensors_of(self.checkpoint))
        self.shown = {kind: size for kind, _, size in gguf_rows(self.checkpoint)}

    def planned(self, kind: FileType, weighted: bool) -> int:
        """The bytes of the plan that will be written; without a matrix, they are those shown before."""
        options = PlanOptions(imatrix=weighted, source_type=kept_type(self.checkpoint))
        noted = read_imatrix(self.matrix).keys(self.matrix.name) if weighted else ()
        nbytes = plan_gguf(self.checkpoint, kind, options, "x.gguf", noted).file.nbytes
        assert weighted or nbytes == self.shown[kind.name]
        return nbytes

    def written(self, kind: FileType, weighted: bool) -> int:
        """The bytes of the file."""
        path = self.folder.with_name(f"{kind.name}.gguf")
        return convert(self.folder, path, kind.name, self.matrix if weighted else None).stat().st_size


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_has_its_predicted_sizes(name: str, tmp_path: Path) -> None:
    model = Sized(tmp_path / "model", *MODELS[name])
    kinds = distinct(model.checkpoint)
    planned = {kind: model.planned(FILE_TYPES[kind], weighted) for kind, weighted in kinds.items()}
    step = -(-len(kinds) // WRITTEN)
    for kind in list(kinds)[NAMES.index(name) % step :: step]:
        assert model.written(FILE_TYPES[kind], kinds[kind]) == planned[kind]


def test_every_type_has_its_predicted_size(tmp_path: Path) -> None:
    model = Sized(tmp_path / "model", "MixtralConfig", MODELS["mixtral"][1] | WIDE)
    for kind, weighted in distinct(model.checkpoint).items():
        assert model.written(FILE_TYPES[kind], weighted) == model.planned(FILE_TYPES[kind], weighted)
