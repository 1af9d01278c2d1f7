"""What a recipe will do to a checkpoint, computed once per change and shown by the whole page. No Qt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from quantgui import units
from quantgui.formats.planning import plan_files
from quantgui.module_order import place_of
from quantgui.quant.assignment import WHY_KEPT, assign, is_gguf
from quantgui.quant.gguf_assignment import asks_for_imatrix
from quantgui.quant.gguf_rows import TENSOR_TYPES
from quantgui.quant.registry import rows
from quantgui.report.findings import describe_recipe
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.presets import only
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Checkpoint, SourceKind, UserError


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor, what becomes of it, and whether the recipe wanted something else than the format can hold."""

    assignment: Assignment
    is_problem: bool

    @property
    def reason(self) -> str:
        """Why the tensor is kept, for a narrow column; a problem without the words that every problem begins with."""
        _, _, why = self.assignment.why.partition(": ")
        return f"{why[:1].upper()}{why[1:]}" if self.is_problem and why else self.assignment.why

    @property
    def is_changed(self) -> bool:
        """Whether the recipe's precision reaches it; a GGUF file's norms have a type, F32, and a reason for it."""
        return self.assignment.scheme is not None and not self.assignment.why

    @property
    def reason_in_brief(self) -> str:
        """The reason for a narrow column: "Norms" instead of "Norms are kept: a few numbers that scale everything."."""
        if self.reason.startswith("Group size"):
            return "Group does not fit"
        has_type = self.assignment.scheme is not None  # in a GGUF file, where one sentence is about all kinds of them
        reason = WHY_KEPT.get(self.assignment.tensor.role, self.reason) if has_type and self.reason else self.reason
        head = re.split(r" (?:are|is) kept: ", reason)[0]
        return head.replace("A rule keeps it: ", "Rule ").removeprefix("The ").rstrip(".")

    @property
    def bits(self) -> float:
        """Bits per weight as stored, 0 for an empty tensor."""
        numel = self.assignment.tensor.numel
        return 8 * self.assignment.nbytes / numel if numel else 0.0


@dataclass(frozen=True)
class RecipePlan:
    """The planned tensors in the order of the flow through the model; `error` says why there are none."""

    tensors: tuple[PlannedTensor, ...] = ()
    bytes_before: int = 0
    bytes_after: int = 0
    parameters: int = 0
    matches: tuple[int, ...] = ()  # tensors that each rule decides, in the order of the rules
    problems: int = 0  # tensors the format cannot hold as the recipe asks
    commonest_problem: str = ""  # the reason that most of those have
    changed: int = 0  # tensors that the recipe's precision reaches
    quantized_weights: int = 0  # elements of those
    needs_imatrix: bool = False  # llama.cpp's types refuse without an importance matrix, whether there is one or not
    file_bytes: int = 0  # of all weight files, headers included; 0 for GGUF, whose preflight knows, and without weights
    clash: UserError | None = None  # two tensors would get one name: nothing to plan around, but no run either
    error: UserError | None = None

    @property
    def bits_per_weight(self) -> float:
        """8 * predicted bytes / parameters."""
        return 8 * self.bytes_after / self.parameters if self.parameters else 0.0


def make_plan(checkpoint: Checkpoint, recipe: Recipe) -> RecipePlan:
    """Assign and count. What the recipe has wrong becomes the plan's error."""
    try:
        assignments = sorted(assign(checkpoint, recipe), key=lambda a: place_of(a.tensor))
    except UserError as error:
        return RecipePlan(error=error)
    except ValueError as error:
        return RecipePlan(error=UserError(str(error), hint="Change or remove the exception."))
    rules = [recipe.rule_for(a.tensor) for a in assignments] if recipe.rules else [None] * len(assignments)
    decided = [sum(rule is found for found in rules) for rule in recipe.rules]
    tensors = tuple(PlannedTensor(a, _is_problem(a, rule)) for a, rule in zip(assignments, rules, strict=True))
    reasons = Counter(tensor.reason for tensor in tensors if tensor.is_problem)
    changed = [tensor.assignment.tensor for tensor in tensors if tensor.is_changed]
    file_bytes, clash = _files(checkpoint, recipe, assignments)
    return RecipePlan(
        tensors=tensors,
        bytes_before=checkpoint.nbytes,
        bytes_after=sum(a.nbytes for a in assignments),
        parameters=checkpoint.parameters,
        matches=tuple(decided),
        problems=reasons.total(),
        commonest_problem=reasons.most_common(1)[0][0] if reasons else "",
        changed=len(changed),
        quantized_weights=sum(tensor.numel for tensor in changed),
        file_bytes=file_bytes,
        clash=clash,
        needs_imatrix=is_gguf(recipe) and asks_for_imatrix(recipe, assignments),
    )


def _files(checkpoint: Checkpoint, recipe: Recipe, assignments: Sequence[Assignment]) -> tuple[int, UserError | None]:
    """Bytes of the folder's weight files, and why there cannot be such files."""
    if checkpoint.kind is SourceKind.CONFIG or is_gguf(recipe):
        return 0, None
    try:
        return sum(file.nbytes for file in plan_files(assignments)), None
    except UserError as error:
        return 0, error


def rule_choices(recipe: Recipe) -> tuple[str, ...]:
    """What a rule of this recipe may name: schemes, in a GGUF file the types of its tensors."""
    return TENSOR_TYPES if is_gguf(recipe) else tuple(row.id for row in rows())


def first_rule(recipe: Recipe) -> Rule:
    """What an exception of this recipe begins as: more bits for the layers' feed-forward parts."""
    return Rule("*.ffn_down.*", SchemeSpec("Q6_K")) if is_gguf(recipe) else Rule("*.mlp.*", SchemeSpec("INT8"))


def with_base(recipe: Recipe, base: SchemeSpec) -> Recipe:
    """The recipe with another base. Exceptions stay, unless one of the two is a GGUF file: its tensors have names and
    types of their own, so a rule for one means nothing for the other.
    """
    changed = replace(recipe, base=base, name="")
    return changed if is_gguf(changed) == is_gguf(recipe) else replace(changed, rules=())


def _is_problem(assignment: Assignment, rule: Rule | None) -> bool:
    """Kept although the recipe asks for a scheme: not a vector, not a role that is kept by default, not a kept rule."""
    tensor = assignment.tensor
    if assignment.scheme is not None or len(tensor.shape) < 2:
        return False
    return tensor.role not in WHY_KEPT if rule is None else rule.scheme is not None


def finding(plan: RecipePlan, recipe: Recipe) -> str:
    """The page's title: "INT4 in groups of 128: 4.61 bits per weight, 4.12 MB instead of 13.9 MB"."""
    after, before = units.file_size(plan.bytes_after), units.file_size(plan.bytes_before)
    base = describe_recipe(replace(recipe, rules=()))
    return f"{base}: {plan.bits_per_weight:.2f} bits per weight, {after} instead of {before}"


def override(recipe: Recipe, names: list[str], scheme: SchemeSpec | None) -> Recipe:
    """The recipe in which exactly these tensors get `scheme` (None keeps them), before any other rule."""
    cleared = clear_override(recipe, names)
    return replace(cleared, rules=(*(Rule(only(name), scheme) for name in names), *cleared.rules))


def clear_override(recipe: Recipe, names: list[str]) -> Recipe:
    """The recipe without the rules that name exactly one of these tensors."""
    patterns = {only(name) for name in names}
    return replace(recipe, rules=tuple(rule for rule in recipe.rules if rule.pattern not in patterns))
