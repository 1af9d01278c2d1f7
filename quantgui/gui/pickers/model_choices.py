"""Every model this machine can show without a download, in one list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantgui.checkpoint.catalogue import CatalogueEntry, catalogue
from quantgui.checkpoint.hub_cache import cached_models
from quantgui.checkpoint.local_stores import stored_models
from quantgui.checkpoint.resolve import DEMO

UNSUPPORTED = "Cannot be estimated yet: its architecture is not known here. A folder with its weights can be opened."


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """`reference` is what `AppState.open_model` takes. None means not known without opening it."""

    reference: str
    name: str
    where: str
    parameters: int | None = None
    nbytes: int | None = None
    context: int | None = None
    note: str = ""
    is_supported: bool = True


def model_choices(recent: Sequence[str]) -> list[ModelChoice]:
    """The bundled model, recent ones, Hugging Face's cache, the stores of Ollama and LM Studio, the catalogue.

    Each reference once, in this order.
    """
    choices = [ModelChoice(DEMO, "demo", "Bundled", note="A small Llama that comes with QuantGUI."), *_recent(recent)]
    choices += [ModelChoice(m.path, m.name, "On this machine", nbytes=m.nbytes, note=m.path) for m in cached_models()]
    choices += [ModelChoice(m.path, m.name, m.program, nbytes=m.nbytes, note=m.path) for m in stored_models()]
    choices += [_from_catalogue(entry) for entry in catalogue()]
    return list({choice.reference: choice for choice in reversed(choices)}.values())[::-1]


def _recent(references: Sequence[str]) -> Iterator[ModelChoice]:
    known = {entry.id for entry in catalogue()}
    for reference in references:
        if reference in known or reference == DEMO:
            continue
        path = Path(reference)
        yield ModelChoice(reference, path.name, "Recent", note=reference)


def _from_catalogue(entry: CatalogueEntry) -> ModelChoice:
    return ModelChoice(
        reference=entry.id,
        name=entry.id,
        where="Catalogue",
        parameters=entry.parameters,
        context=entry.config.context_length,
        note="Shapes only: nothing is downloaded. Good for estimates." if entry.supported else UNSUPPORTED,
        is_supported=entry.supported,
    )
