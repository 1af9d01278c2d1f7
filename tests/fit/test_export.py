from __future__ import annotations

import csv
import io
import json

from quantgui.checkpoint.catalogue import find_entry
from quantgui.fit.estimate import estimate_table
from quantgui.fit.export import CSV_COLUMNS, estimate_json, estimates_csv
from quantgui.hardware.catalogue import target
from quantgui.types import MemoryEstimate, MemoryKind, MemoryPart, Provenance, Verdict

ROWS = estimate_table(find_entry("Qwen3-0.6B").checkpoint(), target("RTX 3060"))


def test_json_survives_and_its_sums_agree() -> None:
    for estimate in ROWS:
        found = json.loads(json.dumps(estimate_json(estimate, "run it"), allow_nan=False))
        assert found["id"] == estimate.scheme_id
        assert found["total_bytes"] == sum(part["bytes"] or 0 for part in found["parts"])
        assert found["total_low_bytes"] <= found["total_bytes"] <= found["total_high_bytes"]
        assert {part["kind"] for part in found["parts"]} == {kind.value for kind in MemoryKind}
        assert all(part["provenance"] in {p.value for p in Provenance} for part in found["parts"])
        assert found["command"] == "run it"
        if found["speed"]:
            assert found["speed"]["low"] <= found["speed"]["tokens_per_second"] <= found["speed"]["high"]


def test_what_is_not_estimated_is_null_and_what_is_exact_is_its_own_band() -> None:
    parts = (
        MemoryPart(MemoryKind.WEIGHTS, 100, Provenance.DERIVED),
        MemoryPart(MemoryKind.KV_CACHE, None),
        MemoryPart(MemoryKind.COMPUTE, 10, Provenance.ESTIMATED, "", 5, 20),
    )
    found = estimate_json(MemoryEstimate("X", 0.0, parts, None, Verdict.FITS, "Fits."))
    assert (found["kv_cache_bytes"], found["overhead_bytes"], found["bits_per_weight"]) == (None, None, None)
    assert (found["parts"][0]["low_bytes"], found["parts"][0]["high_bytes"]) == (100, 100)
    assert (found["parts"][1]["low_bytes"], found["parts"][2]["high_bytes"]) == (None, 20)
    assert (found["total_low_bytes"], found["total_high_bytes"]) == (105, 120)
    assert (found["speed"], found["quality"], found["placement"], found["command"]) == (None, None, None, None)


def test_csv_has_one_line_per_row_and_empty_cells_for_what_is_not_known() -> None:
    text = estimates_csv(ROWS, {"Q4_K_M": "llama-server, with a comma"})
    table = list(csv.DictReader(io.StringIO(text)))
    assert tuple(table[0]) == CSV_COLUMNS
    assert [line["id"] for line in table] == [estimate.scheme_id for estimate in ROWS]
    by_id = {line["id"]: line for line in table}
    assert by_id["Q4_K_M"]["command"] == "llama-server, with a comma"
    assert by_id["Q8_0"]["command"] == ""
    assert by_id["NF4"]["perplexity_ratio"] == ""
    assert float(by_id["Q4_K_M"]["perplexity_ratio"]) > 1
