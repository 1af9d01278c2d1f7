# ruff: noqa: E501 (logs as they are written)
from __future__ import annotations

import pytest

from quantgui.fit.logs import parse_log
from quantgui.types import GIB, MemoryKind, Runtime

V0 = """\
INFO 03-12 14:55:27 [llm_engine.py:235] Initializing a V0 LLM engine with config: model='m', max_seq_len=65536, tensor_parallel_size=1, kv_cache_dtype=fp8, seed=None
INFO 10-18 10:01:12 model_runner.py:1071] Loading model weights took 14.9888 GB
INFO 10-18 10:01:14 worker.py:232] Memory profiling takes 1.23 seconds
the current vLLM instance can use total_gpu_memory (79.10GiB) x gpu_memory_utilization (0.90) = 71.19GiB
model weights take 14.99GiB; non_torch_memory takes 0.16GiB; PyTorch activation peak memory takes 1.26GiB; the rest of the memory reserved for KV Cache is 54.78GiB.
INFO 10-18 10:01:15 executor_base.py:111] # cuda blocks: 28045, # CPU blocks: 2048
INFO 10-18 10:01:15 gpu_executor.py:122] # GPU blocks: 28045, # CPU blocks: 2048
INFO 10-18 10:01:15 gpu_executor.py:126] Maximum concurrency for 8192 tokens per request: 54.78x
INFO 10-18 10:01:34 model_runner.py:1518] Graph capturing finished in 19 secs, took 0.32 GiB
"""
V1 = """\
(Worker_TP0 pid=34322) INFO 05-06 20:59:59 [gpu_model_runner.py:4879] Model loading took 12.66 GiB memory and 31.657031 seconds
(Worker_TP1 pid=34323) INFO 05-06 20:59:59 [gpu_model_runner.py:4879] Model loading took 12.66 GiB memory and 31.657031 seconds
(Worker_TP0 pid=34322) INFO 05-06 21:01:48 [gpu_worker.py:349] Available KV cache memory: 2.30 GiB
(Worker_TP1 pid=34323) INFO 05-06 21:01:48 [gpu_worker.py:349] Available KV cache memory: 2.30 GiB
(EngineCore pid=26283) INFO 05-06 21:01:48 [kv_cache_utils.py:1229] GPU KV cache size: 75,840 tokens
(EngineCore pid=26283) INFO 05-06 21:01:48 [kv_cache_utils.py:1234] Maximum concurrency for 120,000 tokens per request: 2.48x
(Worker_TP0 pid=34322) INFO 05-06 21:01:50 [gpu_model_runner.py:6243] Graph capturing finished in 2 secs, took 0.11 GiB
"""


def test_the_first_engine() -> None:
    parsed = parse_log(V0)
    assert (parsed.runtime, parsed.source) == (Runtime.VLLM, "vLLM")
    assert parsed.nbytes(MemoryKind.WEIGHTS) == round(14.99 * GIB), "GB of old versions are GiB, and both lines agree"
    assert parsed.nbytes(MemoryKind.COMPUTE) == round(1.26 * GIB)
    assert parsed.nbytes(MemoryKind.OVERHEAD) == round(0.16 * GIB) + round(0.32 * GIB)
    assert parsed.nbytes(MemoryKind.KV_CACHE) == round(54.78 * GIB)
    assert parsed.kv_pool_tokens == 28045 * 16
    assert (parsed.context, parsed.kv_dtype) == (8192, "fp8")


def test_the_second_engine_on_two_gpus() -> None:
    parsed = parse_log(V1)
    assert parsed.nbytes(MemoryKind.WEIGHTS) == 2 * round(12.66 * GIB)
    assert parsed.nbytes(MemoryKind.KV_CACHE) == 2 * round(2.30 * GIB)
    assert (parsed.kv_pool_tokens, parsed.context) == (75_840, 120_000)
    assert parsed.nbytes(MemoryKind.COMPUTE) is None


@pytest.mark.parametrize(
    "line", ["Loading model weights took 67.7229 GB", "Model loading took 2.2845 GiB and 74.2 seconds"]
)
def test_one_line_is_enough(line: str) -> None:
    assert parse_log(f"INFO 01-30 03:18:12 gpu_model_runner.py:848] {line}").nbytes(MemoryKind.WEIGHTS)
