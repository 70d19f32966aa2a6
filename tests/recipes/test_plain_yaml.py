from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.errors import RecipeError
from filmstrip.recipes.catalogue import load_recipe, to_yaml
from filmstrip.recipes.plain_yaml import parse_yaml
from filmstrip.training.tune import parse_choices

LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
)
HOSTILE = {
    "deep_lists": "[" * 50_000,
    "deep_mappings": "{a: " * 50_000,
    "deep_blocks": "".join(" " * i + "a:\n" for i in range(1, 300)),
    "laughs": LAUGHS,
    "itself": "&a [*a]",
    "sexagesimal": "1" + ":59" * 300_000,
    "many": "[" + "1," * 300_000 + "]",
    "long": "x" * 2_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_recipes_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(HOSTILE[name])
    with pytest.raises(RecipeError, match="cannot be read as a recipe"):
        load_recipe(str(path))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_overrides_are_refused(name: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe("lite-gru", [f"head.hidden={HOSTILE[name]}"])
    with pytest.raises(RecipeError):
        parse_choices([f"head.hidden={HOSTILE[name][:200_000]}"])


def test_plain_yaml_reads_what_recipes_are_written_as() -> None:
    recipe = load_recipe("resnet50-gru")
    assert parse_yaml(to_yaml(recipe)) == recipe.model_dump(mode="json", exclude_none=False)
