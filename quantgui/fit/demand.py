"""What a runtime needs beside the weights, for one model and one usage: the same for every precision, so kept once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from quantgui.fit.corrections import Correction, corrected
from quantgui.fit.model_facts import ModelFacts
from quantgui.fit.runtimes import Rules, Site
from quantgui.fit.settings import FitSettings
from quantgui.types import MemoryKind, MemoryPart, Provenance


@dataclass(frozen=True, slots=True)
class Load:
    """The parts beside the weights on one site."""

    kv_cache: MemoryPart
    compute: MemoryPart
    overhead: MemoryPart
    kv_bytes: int  # 0 where it is not known
    per_device: int  # compute and overhead on each device
    host_buffers: int  # the part of the overhead that lies in RAM whatever computes
    total: int

    @property
    def parts(self) -> tuple[MemoryPart, MemoryPart, MemoryPart]:
        """In the order of MemoryKind."""
        return (self.kv_cache, self.compute, self.overhead)


class Demand:
    """Loads of one model under one runtime, remembered by site, context and type of cache."""

    def __init__(
        self, rules: Rules, model: ModelFacts, settings: FitSettings, correction: Correction | None = None
    ) -> None:
        self.rules = rules
        self.model = model
        self.settings = settings
        self._correction = correction  # what a real run taught about this runtime on this device
        self._loads: dict[tuple[Site, int], Load] = {}
        self._by_type: dict[str, Demand] = {}

    def load(self, site: Site, context: int | None = None) -> Load:
        """What is needed on `site`; `context` replaces that of the settings."""
        key = (site, context or self.settings.context)
        if key not in self._loads:
            changed = key[1] != self.settings.context
            settings = replace(self.settings, context=key[1]) if changed else self.settings
            self._loads[key] = self._computed(site, settings)
        return self._loads[key]

    def with_kv(self, kv_dtype: str) -> Demand:
        """The same with another type of cache."""
        if kv_dtype not in self._by_type:
            settings = replace(self.settings, kv_dtype=kv_dtype)
            self._by_type[kv_dtype] = Demand(self.rules, self.model, settings, self._correction)
        return self._by_type[kv_dtype]

    def _computed(self, site: Site, settings: FitSettings) -> Load:
        rules, model = self.rules, self.model
        if model.cache is None:
            kv = MemoryPart(MemoryKind.KV_CACHE, None, Provenance.ESTIMATED, model.cache_note)
        else:
            kv = rules.kv_cache(model, settings)
        compute, overhead = rules.compute(model, settings, site), rules.overhead(model, settings, site)
        if self._correction is not None:
            compute, overhead = corrected(compute, self._correction), corrected(overhead, self._correction)
        host = rules.host_buffers(model, settings)
        beside = (compute.nbytes or 0) + (overhead.nbytes or 0)
        return Load(
            kv_cache=kv,
            compute=compute,
            overhead=overhead,
            kv_bytes=kv.nbytes or 0,
            per_device=-(-max(0, beside - host) // site.devices),
            host_buffers=host,
            total=(kv.nbytes or 0) + beside,
        )
