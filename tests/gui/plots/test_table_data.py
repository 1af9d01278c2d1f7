from __future__ import annotations

import csv
import io

from quantgui.gui.plots.table_data import TableData


def test_csv_reads_back_in_full_precision() -> None:
    table = TableData(("name", "value (dB)"), [("a, b", 0.1 + 0.2), ("c", None)])
    rows = list(csv.reader(io.StringIO(table.to_csv())))
    assert rows == [["name", "value (dB)"], ["a, b", repr(0.1 + 0.2)], ["c", ""]]


def test_a_name_from_a_file_is_no_formula() -> None:
    assert "'=HYPERLINK" in TableData(("name",), [("=HYPERLINK(1)",)]).to_csv()
    assert TableData(("value",), [(-1.5,)]).to_csv().splitlines()[1] == "-1.5"
