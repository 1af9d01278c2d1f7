"""Recipes as files that people share and give to the command line."""

from __future__ import annotations

from pathlib import Path

from quantgui.jobs.codec import from_json, to_json
from quantgui.schemes.recipe import Recipe
from quantgui.types import UserError

LARGEST = 4 * 2**20  # bytes; a recipe with a rule for every one of 23,000 tensors stays below


def open_recipe(path: Path) -> Recipe:
    """The recipe in `path`. Raises UserError where it cannot be read or is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path.name} is too large to be a recipe.", hint="Choose a file that QuantGUI saved.")
        return from_json(path.read_bytes(), Recipe)
    except OSError as error:
        raise UserError(f"{path.name} could not be read.", details=str(error)) from error
    except ValueError as error:
        raise UserError(
            f"{path.name} is not a recipe.",
            hint="A recipe is the JSON that “Save this recipe” writes.",
            details=str(error),
        ) from error


def save_recipe(path: Path, recipe: Recipe) -> None:
    """Write the recipe, whole or not at all. Raises UserError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(to_json(recipe, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path.name} could not be saved.", details=str(error)) from error
