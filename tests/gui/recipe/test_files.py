"""Recipes survive their file, and what is no recipe is refused in words."""

from __future__ import annotations

import pytest

from quantgui.gui.recipe.files import LARGEST, open_recipe, save_recipe
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import UserError


def test_what_is_saved_is_what_is_opened(tmp_path):
    recipe = Recipe(
        SchemeSpec("INT4", {"group_size": 32, "symmetric": False}), (Rule("re:^ä", None), Rule("*")), "mine"
    )
    save_recipe(tmp_path / "r.json", recipe)
    assert open_recipe(tmp_path / "r.json") == recipe
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"base": 3}', "\x00", "[" * 100_000])
def test_what_is_no_recipe_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(UserError, match="is not a recipe"):
        open_recipe(tmp_path / "r.json")


def test_a_huge_file_is_not_read(tmp_path):
    with (tmp_path / "r.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(UserError, match="too large"):
        open_recipe(tmp_path / "r.json")


def test_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="could not be saved"):
        save_recipe(tmp_path / "none" / "r.json", Recipe(SchemeSpec("INT4")))
    with pytest.raises(UserError, match="could not be read"):
        open_recipe(tmp_path / "none.json")
