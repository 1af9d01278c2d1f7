"""An immutable, growing sequence of tensor reports in which adding one costs the same at the first and the 20,000th."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice

from quantgui.types import TensorReport


class ReportLog(Mapping[str, TensorReport]):
    """Reports by tensor name, in the order in which they came. `add` returns a new log and leaves this one as it is.

    Logs that grew from each other share one list; each sees only its own beginning of it. Only adding to a log that
    is not the newest, or a tensor that is there already, copies.
    """

    __slots__ = ("_count", "_index", "_reports")

    def __init__(self, reports: tuple[TensorReport, ...] = ()) -> None:
        by_name = {report.name: report for report in reports}
        self._reports = list(by_name.values())
        self._index = {name: position for position, name in enumerate(by_name)}
        self._count = len(self._reports)

    def add(self, report: TensorReport) -> ReportLog:
        """This log and `report`, which replaces one of the same tensor."""
        if self._count != len(self._reports) or report.name in self._index:
            return ReportLog((*self.values(), report))
        self._index[report.name] = len(self._reports)
        self._reports.append(report)
        grown = ReportLog.__new__(ReportLog)
        grown._reports, grown._index, grown._count = self._reports, self._index, len(self._reports)
        return grown

    def since(self, position: int) -> tuple[TensorReport, ...]:
        """The reports from `position` on: what a view that knows the first `position` ones has to add."""
        return tuple(islice(self._reports, position, self._count))

    def extends(self, other: ReportLog) -> bool:
        """Whether this log grew from `other` by adding, so that `since(len(other))` is all the difference."""
        return self._reports is other._reports and self._count >= other._count

    @property
    def bits_per_weight(self) -> float:
        """8 * bytes / weights over all tensors, scales included; 0 without weights."""
        weights = sum(math.prod(report.shape) for report in self.values())
        return 8 * sum(report.bytes_after for report in self.values()) / weights if weights else 0.0

    def __getitem__(self, name: str) -> TensorReport:
        position = self._index[name]
        if position >= self._count:
            raise KeyError(name)
        return self._reports[position]

    def __iter__(self) -> Iterator[str]:
        return (report.name for report in islice(self._reports, self._count))

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReportLog) and self.since(0) == other.since(0)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ReportLog({self._count} tensors)"
