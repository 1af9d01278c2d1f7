"""Where in the model the error sits: SQNR by layer and module. A click goes to the tensor."""

from __future__ import annotations

from quantgui import units
from quantgui.gui.plots import Plot, Source, Subject
from quantgui.gui.plots.base import PlotPanel
from quantgui.gui.plots.heat_map_canvas import HeatMapCanvas
from quantgui.gui.plots.table_data import TableData
from quantgui.jobs.report_log import ReportLog
from quantgui.report.layer_grid import Cell, LayerGrid

TITLE = "SQNR by layer and module"


class SqnrHeatMap(PlotPanel):
    """Bright is close to the original, dark is far from it, hatched was kept as it was."""

    def __init__(self, source: Source) -> None:
        self._map = HeatMapCanvas()
        super().__init__(TITLE, self._map)
        self._source = source
        self._reports = ReportLog()
        self._grid = LayerGrid()
        self._marked: str | None = None
        self._map.chosen.connect(source.select_tensor)
        self._map.hovered.connect(self._hovered)
        self._draw()
        self.refresh()

    def refresh(self) -> None:
        """Add the tensors that have come since, or begin anew with another run."""
        reports = self._source.run.reports if self._source.run else ReportLog()
        if reports is self._reports and self._source.selected_tensor == self._marked:
            return
        if not reports.extends(self._reports):
            self._grid, self._reports = LayerGrid(), ReportLog()
        self._grid.add(reports.since(len(self._reports)))
        self._reports = reports
        self._draw()

    def table(self) -> TableData:
        """One row per cell."""
        rows = [
            (cell.layer, cell.module, cell.report.name, cell.report.scheme_id or "kept", cell.sqnr_db)
            for cell in self._grid.cells.values()
        ]
        return TableData(("layer", "module", "tensor", "scheme", "SQNR (dB)"), rows)

    def _draw(self) -> None:
        self._marked = self._source.selected_tensor
        if not self._grid.cells:
            self.show_empty("The map fills while a run is at work: one cell per layer and module.")
            return
        self._map.set_grid(self._grid, self._marked or "")
        self.show_plot(self._caption())

    def _caption(self) -> str:
        worst, middle = self._grid.worst(), self._grid.median()
        if worst is None:
            return "No quantized tensor has an error."
        return (
            f"Lowest {worst.report.short_name} at {units.decibels(worst.sqnr_db)}, "
            f"median {units.decibels(middle)} · hatched: kept as it was"
        )

    def _hovered(self, cell: Cell | None) -> None:
        if cell is None:
            self.set_readout("")
        elif cell.is_kept:
            self.set_readout(f"{cell.report.short_name}: kept")
        else:
            value = "exact" if cell.sqnr_db is None else units.decibels(cell.sqnr_db)
            self.set_readout(f"{cell.report.short_name}: {value}")


PLOT = Plot("sqnr-heat-map", TITLE, 10, Subject.MODEL, SqnrHeatMap)
