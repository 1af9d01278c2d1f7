"""Fits, tight, offload or too large, with the resource that fails and the smallest change that would pass, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from quantgui.fit.budget import Budget
from quantgui.fit.demand import Demand
from quantgui.fit.placement import RAM_COMFORTABLE, Outcome, fits
from quantgui.fit.settings import bits_per_element
from quantgui.fit.situation import Situation
from quantgui.fit.weights import STORED, WeightBytes
from quantgui.types import Runtime, Verdict
from quantgui.units import count, memory, percent

SHORTEST_CONTEXT = 1024
"""A shorter context is no help to anybody."""
WORTH_SAYING = 0.2
"""Share of the KV cache from which on it is named as the reason."""
SMALLER_CACHES = {
    Runtime.LLAMA_CPP: ("q8_0", "q4_0"),
    Runtime.VLLM: ("fp8",),
    Runtime.MLX: ("q8_0", "q4_0"),
    Runtime.TRANSFORMERS: (),
}
ADVISED = frozenset(
    {
        *("BF16", "FP16", "FP8", "W8A8", "W8A8-dynamic", "INT8", "AWQ-4", "GPTQ-4", "INT4", "NF4-DQ"),
        *("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "IQ3_M", "IQ2_M"),
        *("MLX-8", "MLX-6", "MLX-4"),
    }
)
"""What people are well served with, of every size; the other rows are named only where none of these helps."""
NATIVE_EXPERTS = "MXFP4_MOE"
"""llama.cpp's type for mixtures alone: of a dense model it is Q8_0 by another name."""
SPOKEN = {Runtime.VLLM: "vLLM", Runtime.MLX: "MLX"}
"""Runtimes whose name is not written as its id."""
APPLE_LIMIT = 0.84
"""Share of the RAM to which `iogpus`' limit can be raised without starving the system."""

_SEVERITY = {Verdict.FITS: 0, Verdict.TIGHT: 1, Verdict.OFFLOAD: 2, Verdict.TOO_LARGE: 3}
_WOULD = {
    Verdict.FITS: "fit",
    Verdict.TIGHT: "be tight",
    Verdict.OFFLOAD: "run with part of it in RAM",
    Verdict.TOO_LARGE: "be too large",
}


def judge(total: int, budget: Budget) -> Verdict:
    """The verdict on `total` bytes that need not lie in layers. More than 90 % of the primary memory is tight."""
    if total <= RAM_COMFORTABLE * budget.primary_bytes:
        return Verdict.FITS
    if total <= budget.primary_bytes:
        return Verdict.TIGHT
    return Verdict.OFFLOAD if budget.device_bytes and total <= budget.pooled_bytes else Verdict.TOO_LARGE


@dataclass(frozen=True, slots=True)
class Placed:
    """One row and where it lies."""

    weights: WeightBytes
    outcome: Outcome

    @property
    def total(self) -> int:
        """Everything estimated."""
        return self.weights.nbytes + self.outcome.load.total

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return "the published checkpoint" if self.weights.scheme_id == STORED else self.weights.scheme_id

    @property
    def is_advised(self) -> bool:
        """Whether people are well served with it."""
        native = self.weights.scheme_id == NATIVE_EXPERTS and any(self.weights.expert_layer_bytes)
        return native or self.weights.scheme_id in ADVISED or self.weights.scheme_id == STORED


def explain(row: Placed, others: Sequence[Placed], situation: Situation) -> str:
    """The reason of a verdict; `others` are the rows it could be replaced by."""
    demand, budget = situation.demand, situation.budget
    sentences = [_reason(row, demand, budget)]
    if demand.model.cache is None:
        sentences.append("The KV cache is not estimated and comes on top.")
    if row.outcome.verdict is not Verdict.FITS:
        sentences.append(_change(row, others, situation))
    return " ".join(sentences)


def _reason(row: Placed, demand: Demand, budget: Budget) -> str:
    limit, name = budget.primary_bytes, budget.primary_name
    need = row.total - _beside_gpus(row, demand, budget)
    if row.outcome.verdict is Verdict.FITS:
        return f"Needs {memory(need)} of the {memory(limit)} of {name}; {memory(max(0, limit - need))} stay free."
    if row.outcome.verdict is Verdict.TIGHT:
        return f"Needs {memory(need)} of the {memory(limit)} of {name}, which leaves little for anything else."
    if row.outcome.verdict is Verdict.OFFLOAD:
        rest = _what_stays_in_ram(row, budget)
        if need <= limit:  # whole layers do not come out even, or too little would stay free
            return f"Needs {memory(need)} of {memory(limit)}, which these GPUs cannot share out; {rest}."
        return f"Needs {memory(need - limit)} more than the {memory(limit)} of {name}; {rest}, much slower."
    if budget.device_bytes and not demand.rules.can_offload and not budget.unified:
        runtime = SPOKEN.get(demand.rules.runtime, demand.rules.runtime)
        most = _most_that_share(demand, budget)
        if demand.model.shape is not None and most < len(budget.gpus):
            return (
                f"Needs {memory(need)}. {runtime} gives each GPU the same number of the {demand.model.shape.heads} "
                f"attention heads, so only {most} of {len(budget.gpus)} can work together, and it uses no RAM."
            )
        return f"Needs {memory(need)}, but there are {memory(limit)} of {name}, and {runtime} uses no RAM."
    if budget.device_bytes and budget.ram_bytes and not budget.unified:
        return f"Needs {memory(row.total)}, but {name} and RAM together are {memory(budget.pooled_bytes)}."
    return (
        f"Needs {memory(row.total)}, but there are {memory(budget.pooled_bytes)} "
        f"of {'memory' if budget.unified else name}."
    )


def _most_that_share(demand: Demand, budget: Budget) -> int:
    """How many of the GPUs the runtime can use together."""
    return max(n for n in range(1, len(budget.gpus) + 1) if demand.rules.can_share(demand.model, n))


def _what_stays_in_ram(row: Placed, budget: Budget) -> str:
    outcome, layers = row.outcome, len(row.weights.layer_bytes)
    if outcome.experts_in_ram:
        return f"the experts of {outcome.experts_in_ram} of {layers} layers would run from RAM"
    if outcome.layers_on_gpus and not budget.unified:
        return f"{layers - outcome.layers_on_gpus} of {layers} layers would run from RAM"
    return "all of it would run from RAM"


def _beside_gpus(row: Placed, demand: Demand, budget: Budget) -> int:
    """Bytes that lie in RAM even where everything is on dedicated GPUs."""
    if not budget.gpus or budget.unified:
        return 0
    return demand.rules.host_weights(row.weights) + row.outcome.load.host_buffers


def _change(row: Placed, others: Sequence[Placed], situation: Situation) -> str:
    """The smallest changes that would pass: usage, the system's limit, else another precision or more memory."""
    changes = [_lighter_usage(row, situation), _raised_limit(row, situation.budget)]
    return " ".join(change for change in changes if change) or _smaller_row(row, others, situation)


def _lighter_usage(row: Placed, situation: Situation) -> str:
    """A shorter context, or a smaller type of cache; "" where neither helps."""
    demand, kv_bytes = situation.demand, row.outcome.load.kv_bytes
    if not kv_bytes:
        return ""
    changes = []
    context = situation.longest.context(row.weights)
    if context is not None and SHORTEST_CONTEXT <= context < demand.settings.context:
        changes.append(f"a context of {count(context)} tokens")
    asked = bits_per_element(demand.settings.kv_dtype)
    for kv_dtype in SMALLER_CACHES[demand.rules.runtime]:
        smaller = bits_per_element(kv_dtype) < asked
        if smaller and fits(row.weights, demand.with_kv(kv_dtype), situation.budget):
            changes.append(f"a KV cache in {kv_dtype}")
            break
    if not changes:
        return ""
    share = kv_bytes / row.total
    said = f"The KV cache is {percent(share)} of it; " if share >= WORTH_SAYING else ""
    return _capital(f"{said}{' or '.join(changes)} would fit.")


def _raised_limit(row: Placed, budget: Budget) -> str:
    """On Apple computers the GPU's part of the RAM can be raised; "" where that would not be enough."""
    if not budget.is_apple or row.outcome.verdict is not Verdict.OFFLOAD:
        return ""
    if row.total > APPLE_LIMIT * budget.ram_bytes:
        return ""
    mib = math.ceil(row.total / 2**20 / 256) * 256
    return f"sudo sysctl iogpu.wired_limit_mb={mib} would let the GPU use enough of the RAM."


def _smaller_row(row: Placed, others: Sequence[Placed], situation: Situation) -> str:
    """The largest smaller precision that does better: one that serves people well, if need be with less context."""
    budget = situation.budget
    smaller = sorted((other for other in others if other.total < row.total), key=lambda other: -other.total)
    if not smaller:
        enough = memory(math.ceil(row.total / RAM_COMFORTABLE))
        return f"Nothing here is smaller; {enough} of {budget.primary_name} would be enough."
    advised = [other for other in smaller if other.is_advised]
    for verdict in (Verdict.FITS, Verdict.TIGHT):
        found = next((other for other in advised if other.outcome.verdict is verdict), None)
        if found is not None and _SEVERITY[verdict] < _SEVERITY[row.outcome.verdict]:
            return _capital(f"{found.name} would {_WOULD[verdict]}.")
    for other in advised:
        context = situation.longest.context(other.weights) or 0
        if SHORTEST_CONTEXT <= context < situation.demand.settings.context:
            return _capital(f"{other.name} with a context of {count(context)} tokens would fit.")
    return _last_resort(row, smaller, advised)


def _last_resort(row: Placed, smaller: Sequence[Placed], advised: Sequence[Placed]) -> str:
    """Where nothing that serves people well fits: what runs with a part in RAM, or the rows that cost the most."""
    if row.outcome.verdict is Verdict.TOO_LARGE:
        found = next((other for other in advised if other.outcome.verdict is Verdict.OFFLOAD), None)
        if found is not None:
            return _capital(f"{found.name} would {_WOULD[Verdict.OFFLOAD]}.")
    best = min(smaller, key=lambda other: _SEVERITY[other.outcome.verdict])
    if _SEVERITY[best.outcome.verdict] < _SEVERITY[row.outcome.verdict]:
        return f"Only {best.name} would {_WOULD[best.outcome.verdict]}, at a cost in quality."
    least = smaller[-1]
    return f"Even {least.name} needs {memory(least.total)}."


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
