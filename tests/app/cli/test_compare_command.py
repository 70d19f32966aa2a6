from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filmstrip.recipes.catalogue import to_yaml
from filmstrip.recipes.recipe import Recipe

Filmstrip = Callable[..., Any]


@pytest.fixture
def quick(recipe: Callable[..., Recipe], tmp_path: Path) -> str:
    """A quick recipe in a file."""
    file = tmp_path / "quick.yaml"
    file.write_text(to_yaml(recipe("lite-gru")))
    return str(file)


def test_a_ladder_is_printed_and_written_and_read_again(
    filmstrip: Filmstrip, quick: str, videos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ladder"
    arguments = ("compare", videos, "--recipes", quick, "--folds", 2, "--seeds", 1)
    ended = filmstrip(*arguments, "--out", out)
    assert ended.exit_code == 0, ended.stderr
    for told in ("quick", "against the best", "MACs a clip", "Holm"):
        assert told in ended.stdout
    assert "commonest class" in ended.stdout
    assert {path.name for path in out.iterdir()} >= {"compare.md", "compare.png", "compare.json"}
    assert f"filmstrip compare {videos}" in (out / "compare.md").read_text()
    again = filmstrip(*arguments, "--out", out, "--json")
    assert json.loads(again.stdout) == json.loads((out / "compare.json").read_text())
    assert "(finished)" in again.stderr


def test_an_unknown_recipe_is_an_error_in_three_parts_and_leaves_nothing_behind(
    filmstrip: Filmstrip, videos: Path, tmp_path: Path
) -> None:
    ended = filmstrip("compare", videos, "--recipes", "lite-gur", "--out", tmp_path / "ladder")
    assert ended.exit_code == 1
    assert "Error: recipe 'lite-gur'" in ended.stderr
    assert "Did you mean 'lite-gru'" in ended.stderr
    assert not (tmp_path / "ladder").exists()
