"""A Recipe: ordered rules from tensor-name patterns to schemes. Pure data, saved as JSON, shared between people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from quantgui.schemes.parameters import ParameterValue
from quantgui.types import TensorInfo

KEEP = "keep"


@dataclass(frozen=True)
class SchemeSpec:
    """A registry id with the parameters that differ from its defaults: `SchemeSpec("INT4", {"group_size": 64})`."""

    id: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """Tensors whose name matches `pattern` get `scheme`; None keeps them as they are.

    A pattern is a shell-style glob over the full tensor name (`model.layers.*.mlp.*`), or a regular expression behind
    `re:` that must match anywhere in the name, as compressed-tensors writes them.
    """

    pattern: str
    scheme: SchemeSpec | None = None

    def matches(self, tensor: TensorInfo) -> bool:
        """Whether this rule is about `tensor`. Raises ValueError for a broken regular expression."""
        if self.pattern.startswith("re:"):
            try:
                return re.search(self.pattern[3:], tensor.name) is not None
            except re.error as error:
                raise ValueError(f"The pattern {self.pattern} is not a valid regular expression: {error}.") from None
        return fnmatchcase(tensor.name, self.pattern)


@dataclass(frozen=True)
class Recipe:
    """`base` for every quantizable matrix, except where an earlier rule says otherwise. The first matching rule wins.

    Embeddings, head, norms and routers are kept unless a rule names them (or the base is a cast, which covers all).
    """

    base: SchemeSpec
    rules: tuple[Rule, ...] = ()
    name: str = ""

    def rule_for(self, tensor: TensorInfo) -> Rule | None:
        """The first rule that matches, None where the base decides."""
        return next((rule for rule in self.rules if rule.matches(tensor)), None)
