# ruff: noqa: E501 (logs as they are written)
"""Lines as builds of 2024 to 2026 wrote them."""

from __future__ import annotations

import pytest

from quantgui.fit.logs import parse_log
from quantgui.types import MemoryKind, Runtime

MIB = 2**20
BUILD_2024 = """\
ggml_cuda_init: found 1 CUDA devices:
  Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes
llm_load_tensors: offloading 32 repeating layers to GPU
llm_load_tensors: offloading non-repeating layers to GPU
llm_load_tensors: offloaded 33/33 layers to GPU
llm_load_tensors:        CPU buffer size =   281.81 MiB
llm_load_tensors:      CUDA0 buffer size =  4403.49 MiB
..............................................................................
llama_new_context_with_model: n_ctx      = 8192
llama_new_context_with_model: n_batch    = 2048
llama_kv_cache_init:      CUDA0 KV buffer size =  1024.00 MiB
llama_new_context_with_model: KV self size  = 1024.00 MiB, K (f16):  512.00 MiB, V (f16):  512.00 MiB
llama_new_context_with_model:  CUDA_Host  output buffer size =     0.49 MiB
llama_new_context_with_model:      CUDA0 compute buffer size =   560.00 MiB
llama_new_context_with_model:  CUDA_Host compute buffer size =    24.01 MiB
"""
BUILD_2026 = """\
\x1b[34m0.00.660.946\x1b[0m \x1b[32mI \x1b[0mllama_model_load_from_file_impl: using device CUDA0 (NVIDIA GeForce RTX 3060) - 11907 MiB free
load_tensors: offloaded 49/49 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   787.50 MiB
load_tensors:        CUDA0 model buffer size =  4685.30 MiB
[34m1.14.608.511[0m [32mI [0mllama_context: n_seq_max     = 4
llama_context: n_ctx         = 262144
llama_context: n_ctx_seq     = 65536
llama_context: n_ctx_seq (65536) < n_ctx_train (1048576) -- the full capacity of the model will not be utilized
llama_kv_cache_iswa: creating non-SWA KV cache, size = 262144 cells
llama_kv_cache:      CUDA0 KV buffer size =  2176.00 MiB
llama_kv_cache: size = 2176.00 MiB (262144 cells,   8 layers,  4/1 seqs), K (q8_0): 1088.00 MiB, V (q8_0): 1088.00 MiB
llama_kv_cache_iswa: creating     SWA KV cache, size = 1536 cells
llama_kv_cache:      CUDA0 KV buffer size =   255.00 MiB
llama_memory_recurrent:      CUDA0 RS buffer size =   190.47 MiB
sched_reserve:      CUDA0 compute buffer size =  1330.00 MiB
sched_reserve:  CUDA_Host compute buffer size =   524.01 MiB
sched_reserve:      CUDA0 compute buffer size =  1388.00 MiB
"""
BREAKDOWN = """\
llama_memory_breakdown_print: | memory breakdown [MiB] | total   free     self   model   context   compute    unaccounted |
llama_memory_breakdown_print: |   - CUDA0 (RTX 4090)   | 24080 = 9436 + (14193 = 13169 +      38 +     985) +         451 |
llama_memory_breakdown_print: |   - CUDA1 (RTX 4090)   | 24080 = 9868 + (13756 = 13169 +      38 +     548) +         456 |
llama_memory_breakdown_print: |   - Host               |                   197 =   166 +       0 +      30                |
"""


def test_a_build_of_2024() -> None:
    parsed = parse_log(BUILD_2024)
    assert parsed.runtime is Runtime.LLAMA_CPP
    assert parsed.nbytes(MemoryKind.WEIGHTS) == pytest.approx((281.81 + 4403.49) * MIB, abs=2)
    assert parsed.nbytes(MemoryKind.WEIGHTS, on_host=True) == pytest.approx(281.81 * MIB, abs=1)
    assert parsed.nbytes(MemoryKind.KV_CACHE) == 1024 * MIB
    assert parsed.nbytes(MemoryKind.COMPUTE, on_host=False) == 560 * MIB
    assert (parsed.context, parsed.gpu_layers, parsed.total_layers) == (8192, 33, 33)
    assert (parsed.kv_dtype, parsed.device_names) == ("f16", ("NVIDIA GeForce RTX 3090",))


def test_a_build_of_2026_with_colours_sliding_windows_and_states() -> None:
    parsed = parse_log(BUILD_2026)
    assert parsed.nbytes(MemoryKind.WEIGHTS) == pytest.approx((787.5 + 4685.3) * MIB, abs=2)
    assert parsed.nbytes(MemoryKind.KV_CACHE) == pytest.approx((2176 + 255 + 190.47) * MIB, abs=2)
    assert (parsed.context, parsed.slots, parsed.kv_dtype) == (262_144, 4, "q8_0")
    assert parsed.device_names == ("NVIDIA GeForce RTX 3060",)


def test_what_is_reserved_again_counts_once_with_its_last_size() -> None:
    assert parse_log(BUILD_2026).nbytes(MemoryKind.COMPUTE, on_host=False) == 1388 * MIB


def test_the_table_at_the_end_gives_all_four_parts_of_every_gpu() -> None:
    parsed = parse_log(BREAKDOWN)
    sizes = {kind: parsed.nbytes(kind) for kind in MemoryKind}
    assert sizes == {
        MemoryKind.WEIGHTS: 2 * 13169 * MIB,
        MemoryKind.KV_CACHE: 2 * 38 * MIB,
        MemoryKind.COMPUTE: (985 + 548) * MIB,
        MemoryKind.OVERHEAD: (451 + 456) * MIB,
    }
    assert parsed.device_names == ("RTX 4090",)


@pytest.mark.parametrize("rest", ["17592186036877", "-15681"])
def test_a_table_before_the_load_has_no_overhead(rest: str) -> None:
    line = f"common_memory_breakdown_print: |   - CUDA0 (GTX 1080 Ti) | 11165 = 8702 + (10001 =  9814 +     134 +      51) + {rest} |"
    parsed = parse_log(line)
    assert parsed.nbytes(MemoryKind.OVERHEAD) is None
    assert parsed.nbytes(MemoryKind.WEIGHTS) == 9814 * MIB


def test_of_several_tables_the_last_counts() -> None:
    parsed = parse_log(BREAKDOWN.replace("13169", "20000").replace("24080", "99000") + BREAKDOWN)
    assert parsed.nbytes(MemoryKind.WEIGHTS) == 2 * 13169 * MIB


@pytest.mark.parametrize("device", ["Metal", "Metal_Mapped", "ROCm0", "Vulkan1", "SYCL0", "CPU"])
def test_every_backend_is_read(device: str) -> None:
    parsed = parse_log(f"load_tensors: {device} model buffer size = 1,024.50 MiB")
    assert parsed.nbytes(MemoryKind.WEIGHTS) == round(1024.5 * MIB)
    assert parsed.sizes[0].on_host is device.startswith("CPU")
