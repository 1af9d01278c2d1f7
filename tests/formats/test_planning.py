"""The plan is the file: names, sizes and headers, read back by the safetensors library."""

from math import prod

import pytest
import torch
from safetensors import safe_open

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.planning import plan_files, planned_file_bytes
from quantgui.formats.shard_writer import ShardWriter
from quantgui.quant.assignment import assign
from quantgui.quant.registry import rows
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Checkpoint, SourceKind, TensorInfo, UserError


def test_shards_follow_the_source(tiny_llama_folder, tiny_llama_sharded):
    recipe = Recipe(SchemeSpec("INT4", {"group_size": 32}))
    single = plan_files(assign(open_checkpoint(tiny_llama_folder), recipe))
    several = plan_files(assign(open_checkpoint(tiny_llama_sharded), recipe))
    assert [f.name for f in single] == ["model.safetensors"]
    assert [f.name for f in several] == [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert {t.name for f in single for t in f.tensors} == {t.name for f in several for t in f.tensors}


def test_the_library_reads_what_was_planned_and_written(tmp_path, tiny_llama_bf16):
    assignments = assign(open_checkpoint(tiny_llama_bf16), Recipe(SchemeSpec("INT3", {"group_size": 32})))
    (plan,) = plan_files(assignments)
    writer = ShardWriter(tmp_path, plan)
    for index, tensor in enumerate(plan.tensors):
        writer.write(tensor.name, 0, torch.full((tensor.nbytes,), index % 100, dtype=torch.uint8))
    writer.close()
    path = tmp_path / plan.name
    assert path.stat().st_size == plan.nbytes == planned_file_bytes(assignments)
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == {t.name for t in plan.tensors}
        for index, tensor in enumerate(plan.tensors):
            value = file.get_tensor(tensor.name)
            assert tuple(value.shape) == tensor.shape
            assert bool((value.reshape(-1).view(torch.uint8) == index % 100).all())


@pytest.mark.parametrize("scheme_id", [row.id for row in rows()])
@pytest.mark.parametrize("shards", [1, 3])
def test_the_bytes_are_those_of_the_plan(scheme_id, shards):
    """For every row, names that JSON escapes, empty tensors and scalars included."""
    shapes = {"model.layers.0.mlp.up_proj.weight": (96, 256), 'näme\t"x.weight': (32, 128), "s": (), "e": (0, 5)}
    shapes |= {f"model.layers.{i}.mlp.down_proj.weight": (256, 512) for i in range(120)}
    tensors = [
        TensorInfo(name, shape, "F16", 2 * prod(shape), f"{index % shards}.safetensors")
        for index, (name, shape) in enumerate(shapes.items())
    ]
    tensors.append(TensorInfo("odd.weight", (3, 2), "F4", 3, "0.safetensors"))
    checkpoint = Checkpoint("t", SourceKind.FOLDER, "", tuple(tensors))
    assignments = assign(checkpoint, Recipe(SchemeSpec(scheme_id)))
    plan = plan_files(assignments)
    assert planned_file_bytes(assignments) == sum(file.nbytes for file in plan)
    assert sum(t.nbytes for file in plan for t in file.tensors) == sum(a.nbytes for a in assignments)


def test_two_tensors_of_one_name_are_refused():
    """A source that has a `weight_scale` of its own beside the weight that would get one."""
    weight = TensorInfo("a.weight", (32, 128), "F16", 8192, "m.safetensors")
    scale = TensorInfo("a.weight_scale", (32, 1), "F16", 64, "m.safetensors")
    checkpoint = Checkpoint("t", SourceKind.FOLDER, "", (weight, scale))
    with pytest.raises(UserError, match=r"two tensors called a\.weight_scale"):
        plan_files(assign(checkpoint, Recipe(SchemeSpec("INT4"))))
