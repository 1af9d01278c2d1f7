"""One model in one runtime, under one usage, on one hardware: what all of its rows share."""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.fit.budget import Budget, budget_of
from quantgui.fit.corrections import Corrections
from quantgui.fit.demand import Demand
from quantgui.fit.longest import Longest
from quantgui.fit.model_facts import facts_of
from quantgui.fit.runtimes import RULES
from quantgui.fit.settings import FitSettings
from quantgui.types import Checkpoint, HardwareTarget, Runtime


@dataclass(frozen=True)
class Situation:
    """What is needed beside the weights, where there is room for it, and the search for the longest context."""

    demand: Demand
    budget: Budget
    longest: Longest


def situation_of(
    checkpoint: Checkpoint,
    runtime: Runtime,
    hardware: HardwareTarget,
    settings: FitSettings,
    corrections: Corrections | None = None,
) -> Situation:
    """The situation of a checkpoint's rows. Raises UserError where the hardware's memory is not known."""
    learnt = corrections.of(hardware.name, runtime) if corrections is not None else None
    demand, budget = Demand(RULES[runtime], facts_of(checkpoint), settings, learnt), budget_of(hardware)
    return Situation(demand, budget, Longest(demand, budget))
