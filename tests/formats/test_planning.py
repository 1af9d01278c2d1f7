"""The plan is the file: names, sizes and headers, read back by the safetensors library."""

import torch
from safetensors import safe_open

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.planning import plan_files, planned_file_bytes
from quantgui.formats.shard_writer import ShardWriter
from quantgui.quant.assignment import assign
from quantgui.schemes.recipe import Recipe, SchemeSpec


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
