"""The recipes that come along."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from mammoscope.bundle import Bundle
from mammoscope.errors import RecipeError
from mammoscope.families.recipe import load_recipe, recipe_names, recipe_of

TASKS = ["detector", "reducer", "segmenter", "classifier"]


@pytest.mark.parametrize("task", TASKS)
def test_the_default_recipe_is_the_one_behind_the_default_bundle(bundle: Bundle, task: str) -> None:
    assert load_recipe(task, "default") == recipe_of(task, getattr(bundle.manifest, task).provenance.recipe)


@pytest.mark.parametrize("task", TASKS)
def test_every_recipe_that_comes_along_is_whole(task: str) -> None:
    assert "default" in recipe_names(task)
    for name in recipe_names(task):
        assert load_recipe(task, name).loop.epochs >= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3", "loop: Field required"),
        (
            "[loop]\nepochs = 0\nbatch_size = 1\nlearning_rate = 1e-3",
            r"loop\.epochs: .*greater than or equal to 1 \(is 0\)",
        ),
        ("[loop]\nepochs = 1\nbatch_size = 1\nlearning_rat = 1e-3", r"loop\.learning_rat: Extra inputs"),
        (
            "[loop]\nepochs = 5\nbatch_size = 1\nlearning_rate = 1e-3\ndrop_epochs = [2, 5]",
            r"drop_epochs must lie below epochs, 5",
        ),
        ("epochs = ", "is not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_by_setting_and_value(tmp_path: Path, text: str, message: str) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe("segmenter", str(recipe))


def test_an_unknown_recipe_is_answered_with_those_that_are_there() -> None:
    with pytest.raises(RecipeError, match="recipes that come along: cuts, default, published-2023, "):
        load_recipe("segmenter", "huge")
