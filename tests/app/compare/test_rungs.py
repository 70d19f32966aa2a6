from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.app.compare.rungs import make_rungs
from filmstrip.errors import RecipeError
from filmstrip.recipes.catalogue import load_recipe, to_yaml


def test_rungs_are_named_as_their_recipes_or_files(tmp_path: Path) -> None:
    own = tmp_path / "wide.yaml"
    own.write_text(to_yaml(load_recipe("lite-gru", ["head.hidden=512"])))
    rungs = make_rungs(f"lite-gru, {own},mean-linear")
    assert [rung.name for rung in rungs] == ["lite-gru", "wide", "mean-linear"]
    assert rungs[1].recipe == load_recipe(str(own))
    assert [rung.is_order_blind for rung in rungs] == [False, False, True]


def test_a_setting_goes_to_all_rungs_or_to_the_one_that_is_named() -> None:
    lite, vgg = make_rungs(
        "lite-gru,vgg16-lstm",
        ["training.epochs=2", "vgg16-lstm:head.hidden=64", "lite-gru:source=a:b"],
        ["vgg16-lstm=w=1.safetensors"],
    )
    assert lite.recipe == load_recipe("lite-gru", ["training.epochs=2", "source=a:b"])
    assert vgg.recipe == load_recipe("vgg16-lstm", ["training.epochs=2", "head.hidden=64"])
    assert lite.weights is None
    assert vgg.weights == Path("w=1.safetensors").absolute()


def test_the_order_blind_rung_has_all_of_its_rung_but_the_head() -> None:
    rungs = make_rungs(
        "lite-gru,cnn-lstm,mean-linear", ["lite-gru:training.epochs=7"], adds_order_blind=True
    )
    assert [rung.name for rung in rungs] == [
        *("lite-gru", "lite-gru-order-blind"),
        *("cnn-lstm", "mean-linear"),  # one learns its features, the other is blind already
    ]
    lite, blind = (rung.recipe.model_dump() for rung in rungs[:2])
    assert rungs[1].is_order_blind
    assert {name for name in lite if lite[name] != blind[name]} == {"head"}


@pytest.mark.parametrize(
    ("recipes", "overrides", "weights", "given", "remedy"),
    [
        ("lite-gur", [], [], "recipe 'lite-gur'", "Did you mean 'lite-gru'"),
        ("lite-gru,", [], [], "recipe ''", "filmstrip recipes"),
        ("lite-gru,lite-gru", [], [], "'lite-gru' comes twice", "leave one out"),
        ("lite-gru", ["head.hiden=8"], [], "lite-gru: override 'head.hiden'", "NAME:KEY=VALUE"),
        ("lite-gru", ["vgg16:head.hidden=8"], [], "'vgg16' is none of the recipes", "lite-gru"),
        ("lite-gru", ["training.seed=1"], [], "sets the seeds itself", "--seeds"),
        ("lite-gru", ["lite-gru: training.seed=1"], [], "sets the seeds itself", "--seeds"),
        ("lite-gru", [], ["w.safetensors"], "--weights w.safetensors", "lite-gru=w.safetensors"),
        ("lite-gru", [], ["vgg16-lstm=w"], "'vgg16-lstm' is none of", "lite-gru"),
        (
            "lite-gru,mean-linear",
            ["lite-gru:split.val_fraction=0.3"],
            [],
            "recipe mean-linear: split is",
            "--set split.val_fraction",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_three_parts(
    recipes: str, overrides: list[str], weights: list[str], given: str, remedy: str
) -> None:
    with pytest.raises(RecipeError) as error:
        make_rungs(recipes, overrides, weights)
    assert given in error.value.given
    assert remedy in error.value.remedy


def test_weights_of_a_rung_may_be_random() -> None:
    lite, vgg = make_rungs("lite-gru,vgg16-lstm", [], ["vgg16-lstm=none"])
    assert (lite.recipe.backbone.weights, lite.weights) == ("imagenet", None)
    assert (vgg.recipe.backbone.weights, vgg.weights) == ("none", None)
