"""The programs a model can run in, one file each: how they keep the cache, what they need beside it, how they split."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.fit.runtimes._rules import MIB, Rules, Site, SiteKind
from quantgui.fit.runtimes.llama_cpp import LLAMA_CPP
from quantgui.fit.runtimes.mlx import MLX
from quantgui.fit.runtimes.transformers import TRANSFORMERS
from quantgui.fit.runtimes.vllm import VLLM
from quantgui.types import Runtime

RULES: Mapping[Runtime, Rules] = {rules.runtime: rules for rules in (LLAMA_CPP, TRANSFORMERS, VLLM, MLX)}

__all__ = ["LLAMA_CPP", "MIB", "MLX", "RULES", "TRANSFORMERS", "VLLM", "Rules", "Site", "SiteKind"]
