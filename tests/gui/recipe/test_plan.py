"""What the page says about a recipe is what the writers will do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.gui.recipe.plan import clear_override, finding, first_rule, make_plan, override, rule_choices, with_base
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Checkpoint, Role

QUERY = "model.layers.0.self_attn.q_proj.weight"
INT4 = SchemeSpec("INT4", {"group_size": 32})


@pytest.fixture
def model(tiny_llama_bf16) -> Checkpoint:
    return open_checkpoint(tiny_llama_bf16)


def by_name(plan):
    return {planned.assignment.tensor.name: planned for planned in plan.tensors}


def test_sizes_add_up(model):
    plan = make_plan(model, Recipe(INT4))
    assert plan.bytes_before == model.nbytes
    assert plan.bytes_after == sum(planned.assignment.nbytes for planned in plan.tensors)
    assert plan.bytes_after < plan.bytes_before
    assert finding(plan, Recipe(INT4)).startswith(f"INT4 in groups of 32: {plan.bits_per_weight:.2f} bits per weight")


def test_what_is_kept_by_default_is_no_problem(model):
    assert make_plan(model, Recipe(INT4)).problems == 0


def test_a_group_size_that_does_not_divide_is_a_problem_at_the_row(model):
    plan = make_plan(model, Recipe(SchemeSpec("INT4", {"group_size": 48})))
    assert plan.problems == 14
    assert by_name(plan)[QUERY].reason.startswith("Group size 48 does not divide 64")
    assert {p.reason_in_brief for p in plan.tensors if p.assignment.tensor.role is Role.NORM} == {"Norms"}
    assert plan.commonest_problem.startswith("Group size 48 does not divide")
    assert plan.bytes_after == plan.bytes_before


def test_a_rule_that_the_format_cannot_follow_is_a_problem(model):
    plan = make_plan(model, Recipe(INT4, (Rule("model.embed_tokens.weight", SchemeSpec("INT8")),)))
    assert plan.problems == 1
    assert by_name(plan)["model.embed_tokens.weight"].is_problem


def test_a_rule_that_keeps_is_no_problem(model):
    plan = make_plan(model, Recipe(INT4, (Rule("*.self_attn.*"),)))
    assert plan.problems == 0
    assert plan.matches == (8,)


@pytest.mark.parametrize(
    "recipe", [Recipe(SchemeSpec("INT5000")), Recipe(INT4, (Rule("re:(", INT4),)), Recipe(SchemeSpec("INT4", {"x": 1}))]
)
def test_a_broken_recipe_is_an_error_in_words(model, recipe):
    plan = make_plan(model, recipe)
    assert plan.error is not None
    assert plan.tensors == ()


def test_an_override_reaches_its_tensors_only_and_can_be_taken_back(model):
    recipe = Recipe(INT4, (Rule("*", None),))
    changed = override(recipe, [QUERY], SchemeSpec("INT8"))
    scheme = by_name(make_plan(model, changed))[QUERY].assignment.scheme
    assert scheme is not None
    assert scheme.id == "INT8"
    assert make_plan(model, changed).matches == (1, len(model.tensors) - 1)
    assert clear_override(changed, [QUERY]) == recipe


def test_a_second_override_replaces_the_first():
    twice = override(override(Recipe(INT4), [QUERY], SchemeSpec("INT8")), [QUERY], None)
    assert [rule.scheme for rule in twice.rules] == [None]


def test_a_gguf_recipe_shows_the_tensors_of_the_file_and_takes_their_types(model):
    recipe = Recipe(SchemeSpec("Q8_0"), (Rule("blk.0.ffn_down.weight", SchemeSpec("Q4_0")),))
    plan = make_plan(model, recipe)
    assert (plan.error, plan.matches, plan.problems) == (None, (1,), 0)
    schemes = {p.assignment.tensor.name: p.assignment.scheme.id for p in plan.tensors if p.assignment.scheme}
    assert (schemes["blk.0.ffn_down.weight"], schemes["blk.1.ffn_down.weight"]) == ("Q4_0", "Q8_0")
    assert "Q4_0" in rule_choices(recipe)
    assert "Q4_0" not in rule_choices(Recipe(INT4))
    wrong = make_plan(model, Recipe(SchemeSpec("Q8_0"), (Rule("*", SchemeSpec("INT4")),)))
    assert wrong.error is not None


@pytest.mark.parametrize(("before", "after"), [("INT4", "Q4_K_M"), ("Q4_K_M", "INT4")])
def test_exceptions_stay_among_folders_and_among_files_only(model, before, after):
    recipe = with_base(Recipe(SchemeSpec("INT8")), SchemeSpec(before))
    recipe = replace(recipe, rules=(first_rule(recipe),))
    other = with_base(recipe, SchemeSpec(after))
    assert make_plan(model, recipe).matches[0] > 0
    assert other.rules == () and make_plan(model, other).error is None
    same = with_base(recipe, SchemeSpec("Q6_K" if before == "Q4_K_M" else "INT8"))
    assert same.rules == recipe.rules


def test_the_norms_of_a_gguf_file_are_not_counted_as_changed(model):
    plan = make_plan(model, Recipe(SchemeSpec("Q8_0")))
    left = [tensor for tensor in plan.tensors if not tensor.is_changed]
    assert plan.changed + len(left) == len(plan.tensors)
    assert left and {tensor.reason_in_brief for tensor in left} == {"Norms"}
