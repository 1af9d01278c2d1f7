"""transformers as the user's tool, in the verifying process. Nothing that a model folder brings is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantgui.calibration.skeleton import auto_class
from quantgui.formats.format import Format
from quantgui.formats.registry import all_formats
from quantgui.pipeline.device import is_out_of_memory
from quantgui.types import UserError


@dataclass(frozen=True)
class KeyProblems:
    """Keys that the reload reports and the source does not."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.mismatched)

    @property
    def summary(self) -> str:
        """ "2 missing and 1 unexpected keys" """
        counts = (("missing", self.missing), ("unexpected", self.unexpected), ("mismatched", self.mismatched))
        return " and ".join(f"{len(keys)} {name}" for name, keys in counts if keys) + " keys"

    @property
    def details(self) -> str:
        """One key per line."""
        return "\n".join(
            [f"missing: {k}" for k in self.missing]
            + [f"unexpected: {k}" for k in self.unexpected]
            + [f"mismatched: {k}" for k in self.mismatched]
        )


def _load(folder: Path, **options: Any) -> tuple[Any, Mapping[str, Any]]:
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return auto_class(config).from_pretrained(
        folder,
        output_loading_info=True,
        dtype="auto",
        trust_remote_code=False,
        local_files_only=True,
        use_safetensors=True,
        **options,
    )


def keys_on_meta(folder: Path) -> KeyProblems:
    """What transformers reports when it loads the folder's keys onto the meta device (no data is read)."""
    return _key_problems(_load(folder, device_map="meta")[1])


def _key_problems(info: Mapping[str, Any]) -> KeyProblems:
    mismatched = tuple(sorted(str(k[0] if isinstance(k, tuple) else k) for k in info["mismatched_keys"]))
    return KeyProblems(tuple(sorted(info["missing_keys"])), tuple(sorted(info["unexpected_keys"])), mismatched)


def beyond_the_source(after: KeyProblems, source: Path | None) -> KeyProblems:
    """Keys reported for the output beyond those reported for `source`, which may lack a head or carry a buffer."""
    if source is None or not after:
        return after
    before = keys_on_meta(source)

    def module(key: str) -> str:
        return key.rpartition(".")[0]

    # A layer that the source lacks or has in excess shows up under its quantized names in the output.
    known = {module(key) for key in before.missing + before.unexpected}
    return KeyProblems(
        tuple(key for key in after.missing if module(key) not in known),
        tuple(key for key in after.unexpected if module(key) not in known),
        tuple(key for key in after.mismatched if key not in before.mismatched),
    )


def load_model(folder: Path) -> Any:
    """The model as its users run it: quantized layers stay as their library runs them.

    Raises UserError where transformers, or the library of a quantized format, cannot load it.
    """
    try:
        return _load(folder)[0].eval()
    except Exception as error:  # a dozen kinds, depending on what is wrong with the folder
        if is_out_of_memory(error):
            raise
        lacks = isinstance(error, ImportError) and "gptqmodel" in str(error).lower()
        raise UserError(
            "transformers cannot load the model.",
            hint=f"Its format needs gptqmodel: {all_formats()['gptq'].installation}."
            if lacks
            else "The folder may be damaged, or its architecture may need code of its own.",
            details=f"{type(error).__name__}: {error}",
        ) from error


def load_dense(folder: Path, format_: Format | None) -> tuple[Any, KeyProblems]:
    """The model with dense weights on the CPU, dequantized by its format's library, and the keys reported for it."""
    reported = KeyProblems()

    def load(**options: Any) -> Any:
        nonlocal reported
        model, info = _load(folder, **options)
        reported = _key_problems(info)
        return model

    model = load() if format_ is None else format_.dense_model(load)
    return model.eval(), reported


def can_load(folder: Path) -> bool:
    """Whether transformers can build the model of a folder at all, without code of the model's author."""
    try:
        keys_on_meta(folder)
    except Exception:
        return False
    return True


def in_float32(model: Any) -> Any:
    """The model with all of its floats widened, in place; transformers itself refuses that where it has quantized."""
    import torch

    return torch.nn.Module.float(model)


def run_forward(model: Any) -> bool | None:
    """Whether a forward pass over a few token ids gives finite numbers; None for models that need other inputs too."""
    import torch

    vocabulary = getattr(model.config, "vocab_size", None)
    only_text = model.config.get_text_config() is model.config and model.main_input_name == "input_ids"
    if not vocabulary or not only_text:
        return None
    ids = torch.arange(1, 9).remainder(vocabulary).unsqueeze(0)
    inputs = {"input_ids": ids} | ({"decoder_input_ids": ids} if model.config.is_encoder_decoder else {})
    if len({p.dtype for p in model.parameters() if p.is_floating_point()}) > 1:
        in_float32(model)  # a library may compute dense weights in another dtype than the model's own
    with torch.no_grad():
        output = model(**inputs)
    first = next(value for value in output.values() if isinstance(value, torch.Tensor))
    return bool(torch.isfinite(first.float()).all())
