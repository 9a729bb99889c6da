"""The built-in recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from mammoscope.bundle import Bundle
from mammoscope.errors import RecipeError
from mammoscope.families.changes import nested, parsed
from mammoscope.families.family import RoleName
from mammoscope.families.find import load_recipe, recipe_names, recipe_of

ROLES = ["detect", "rescore", "segment", "classify"]


@pytest.mark.parametrize("role", ROLES)
def test_the_default_recipe_is_the_one_behind_the_default_bundle(bundle: Bundle, role: RoleName) -> None:
    step = bundle.manifest.first(role)
    assert step and step.provenance
    assert load_recipe(role, "default") == recipe_of(role, step.provenance.recipe)


@pytest.mark.parametrize("role", ROLES)
def test_every_built_in_recipe_is_whole(role: RoleName) -> None:
    assert "default" in recipe_names(role)
    for name in recipe_names(role):
        assert load_recipe(role, name).loop.epochs >= 1


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
        load_recipe("segment", str(recipe))


def test_an_unknown_recipe_is_answered_with_those_that_are_there() -> None:
    with pytest.raises(RecipeError, match=r"built-in recipes: .*cuts, default, .*published-2023, .*unet-small"):
        load_recipe("segment", "huge")


@pytest.mark.parametrize(
    ("texts", "settings"),
    [
        ([], {}),
        (["loop.epochs=3"], {"loop": {"epochs": 3}}),
        (["loop.epochs = 3", "loop.seed=1", "loop.epochs=4"], {"loop": {"epochs": 4, "seed": 1}}),
        (["box_loss=giou", 'init="a b"', "rate=1e-4"], {"box_loss": "giou", "init": "a b", "rate": 1e-4}),
        (["anchors=[1, 2]", "flips=true", "equation=a=b"], {"anchors": [1, 2], "flips": True, "equation": "a=b"}),
    ],
)
def test_settings_are_changed_by_words_of_the_command_line(texts: list[str], settings: dict[str, object]) -> None:
    assert nested(parsed(texts)) == settings


@pytest.mark.parametrize("text", ["", "loop.epochs", "=3", "loop..epochs=3", "loop epochs=3"])
def test_a_change_that_is_none_is_quoted(text: str) -> None:
    with pytest.raises(RecipeError, match=f"^{text!r}: expected SETTING=VALUE"):
        parsed([text])
