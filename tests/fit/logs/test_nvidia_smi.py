from __future__ import annotations

from quantgui.fit.logs import parse_log

MIB = 2**20
TABLE = """\
Fri Jun 12 11:18:18 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.142                Driver Version: 580.142        CUDA Version: 13.0     |
+-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA GeForce RTX 3090        Off |   00000000:07:00.0  On |                  N/A |
| 79%   66C    P2            144W /  420W |   15005MiB /  24576MiB |      0%      Default |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+
|   1  NVIDIA GeForce RTX 3060        Off |   00000000:08:00.0 Off |                  N/A |
|  0%   32C    P8              6W /  170W |     300MiB /  12288MiB |      0%      Default |
+-----------------------------------------+------------------------+----------------------+
"""
PROCESSES = """
+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |
|        ID   ID                                                               Usage      |
|=========================================================================================|
|    0   N/A  N/A            1234      G   /usr/lib/xorg/Xorg                      405MiB |
|    0   N/A  N/A           98765      C   ...cpp/build/bin/llama-server         14500MiB |
|    1   N/A  N/A           98765      C   ...cpp/build/bin/llama-server           200MiB |
+-----------------------------------------------------------------------------------------+
"""


def test_the_programs_that_run_models_count_where_they_are_listed() -> None:
    parsed = parse_log(TABLE + PROCESSES)
    assert parsed.used_bytes == 14_700 * MIB
    assert parsed.device_names == ("NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 3060")
    assert parsed.runtime is None


def test_without_a_list_everything_counts_and_that_is_said() -> None:
    parsed = parse_log(TABLE)
    assert parsed.used_bytes == 15_305 * MIB
    assert "other programs" in parsed.notes[0]


def test_an_older_table_of_processes() -> None:
    line = "|    0      1234      C   python3                                         5555MiB |"
    assert parse_log(TABLE + line).used_bytes == 5555 * MIB


def test_csv_with_and_without_units() -> None:
    with_units = "index, name, memory.total [MiB], memory.used [MiB]\n0, NVIDIA GeForce RTX 3060, 12288 MiB, 512 MiB\n"
    plain = "name, memory.used, memory.total\nTesla T4, 1000, 15360\nTesla T4, 24, 15360\n"
    assert parse_log(with_units).used_bytes == 512 * MIB
    assert parse_log(plain).used_bytes == 1024 * MIB
    assert parse_log(plain).device_names == ("Tesla T4", "Tesla T4")
