"""The bytes of the bundled model's first layer and norms, for every file type, against recorded ones of the reference.

`gguf_bytes.json` holds SHA-256 values of what ggml's own kernels (xllamacpp 2026.10.11549, x86-64) make of tensors that
another converter wrote, in the types that llama-quantize gives them. All types are quantized with the same importance.
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import pytest

from quantgui.checkpoint.resolve import demo_checkpoint
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.file_types import FILE_TYPES, file_type
from quantgui.formats.gguf.kernels import quantize_rows
from quantgui.formats.gguf.plan import GgufPlan, plan_gguf
from quantgui.formats.gguf.type_plan import PlanOptions
from quantgui.pipeline.gguf_rows import RowSource

RECORDED = json.loads(Path(__file__).with_name("gguf_bytes.json").read_text(encoding="utf-8"))


def importance(columns: int) -> np.ndarray:
    return np.random.default_rng(columns).random(columns).astype(np.float32) + np.float32(0.01)


def digest(plan: GgufPlan, values: dict[str, np.ndarray], known: dict[tuple[str, str], bytes]) -> str:
    """SHA-256 over name, type and bytes of each tensor in `values`; mixtures share the bytes `known` of each type."""
    found = hashlib.sha256()
    for tensor, kind in zip(plan.tensors, plan.types, strict=True):
        if tensor.name in values:
            if (tensor.name, kind) not in known:
                rows = values[tensor.name]
                raw = quantize_rows(kind, rows, importance(rows.shape[1]) if rows.shape[0] > 1 else None)
                known[tensor.name, kind] = raw.tobytes()
            found.update(f"{tensor.name} {kind}".encode() + known[tensor.name, kind])
    return found.hexdigest()


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, str], bytes]:
    return {}


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    """Float32 rows of the tensors of the first layer."""
    checkpoint = demo_checkpoint()
    plan = plan_gguf(checkpoint, file_type("F32"), PlanOptions(), "demo.gguf")
    found = {}
    with TensorData(checkpoint) as data:
        source = RowSource(checkpoint, data)
        for tensor in plan.tensors:
            if tensor.layer == 0:
                rows = source.rows(tensor)
                blocks = [rows.values(stored).numpy() for _, stored in rows.blocks(1 << 18)]
                found[tensor.name] = np.ascontiguousarray(np.concatenate(blocks), np.float32)
    return found


@pytest.mark.slow
@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="other processors fuse operations")
@pytest.mark.parametrize("name", FILE_TYPES)
def test_the_bytes_are_those_of_the_reference(
    name: str, values: dict[str, np.ndarray], known: dict[tuple[str, str], bytes]
) -> None:
    plan = plan_gguf(demo_checkpoint(), file_type(name), PlanOptions(imatrix=True), "demo.gguf")
    assert digest(plan, values, known) == RECORDED[name]
