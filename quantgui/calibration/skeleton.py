"""A model of transformers without weights: built from the config alone, its parameters on the meta device.

Nothing that a model folder brings is executed: no remote code, no pickle. Buffers that are computed rather than stored
(rotary frequencies, position ids) are real from the start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantgui.types import UserError


def auto_class(config: Any) -> Any:
    """`AutoModelForCausalLM` for decoders with a language-model head, `AutoModel` for everything else."""
    import transformers

    architecture = (config.architectures or [""])[0]
    causal = architecture.endswith(("ForCausalLM", "LMHeadModel"))
    return transformers.AutoModelForCausalLM if causal else transformers.AutoModel


def build_skeleton(folder: Path) -> Any:
    """The model of `folder`/config.json in evaluation mode, every parameter on the meta device, float32.

    Raises UserError where transformers has no such architecture, or where it is an encoder-decoder.
    """
    import torch
    from accelerate import init_empty_weights
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        with init_empty_weights(include_buffers=False):
            model = auto_class(config).from_config(config, trust_remote_code=False, dtype=torch.float32)
    except MemoryError:
        raise
    except Exception as error:  # transformers raises a dozen kinds for configs that it cannot build
        raise UserError(
            "transformers cannot build this model, so no text can be run through it.",
            hint="Choose a precision that needs no calibration.",
            details=f"{type(error).__name__}: {error}",
        ) from error
    if model.config.is_encoder_decoder:
        raise UserError(
            f"Calibration does not work for encoder-decoder models ({model.config.model_type}) yet.",
            hint="Choose a precision that needs no calibration.",
        )
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the others compute all experts in one call
    return model.eval()
