"""The rungs of a ladder: what is compared, from what a person typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filmstrip.errors import RecipeError, WeightsError, nearest
from filmstrip.model.weights import load_backbone
from filmstrip.recipes.catalogue import choose_weights, load_recipe, override
from filmstrip.recipes.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of the comparison.

    Attributes:
        name: in tables, and of the folder of its runs.
        recipe: with all overrides but the seed.
        weights: the backbone's weights, if the user named a file.
    """

    name: str
    recipe: Recipe
    weights: Path | None = None

    @property
    def is_order_blind(self) -> bool:
        """Whether it cannot know in which order frames come: a baseline for all that can."""
        return self.recipe.head.kind == "mean-linear"

    def order_blind(self) -> Rung:
        """The same features, but their mean over frames and one linear layer."""
        recipe = override(self.recipe, ["head.kind=mean-linear"])
        return Rung(f"{self.name}-order-blind", recipe, self.weights)

    def check_weights(self) -> None:
        """See that the backbone's weights can be had and fit.

        Raises:
            WeightsError: they cannot.
        """
        recipe = self.recipe
        try:
            load_backbone(recipe.backbone, recipe.framing.size, self.weights, recipe.training.seed)
        except WeightsError as error:
            remedy = error.remedy.replace("--weights FILE", f"--weights {self.name}=FILE")
            remedy = remedy.replace("--weights none", f"--weights {self.name}=none")
            remedy = remedy.replace("--set ", f"--set {self.name}:")
            raise WeightsError(
                f"{self.name}: {error.given}",
                error.expected,
                f"{remedy} Or leave the recipe out.",
            ) from error


def make_rungs(
    recipes: str,
    overrides: Sequence[str] = (),
    weights: Sequence[str] = (),
    adds_order_blind: bool = False,
) -> list[Rung]:
    """Read what is to be compared.

    Args:
        recipes: names of recipes and paths of .yaml files, with commas between.
        overrides: ``KEY=VALUE`` for every rung, ``NAME:KEY=VALUE`` for one.
        weights: ``NAME=FILE`` for each recipe whose backbone's weights are a file, ``NAME=none``
            for random ones.
        adds_order_blind: let each rung that reads frozen features in their order be followed by one
            that does not.

    Raises:
        RecipeError: an unknown recipe, name or setting, or settings that no ladder can have.
    """
    given = {}
    for text in (part.strip() for part in recipes.split(",")):
        name = Path(text).stem if text.endswith((".yaml", ".yml")) else text
        if name in given:
            raise RecipeError(
                f"--recipes {recipes}: {name!r} comes twice",
                "a name of its own for each recipe",
                "leave one out, or save one under another name "
                f"('filmstrip recipes {name} --save other.yaml') and change that.",
            )
        given[name] = load_recipe(text)
    changes = _by_name(overrides, given)
    files = _files(weights, given)
    rungs = [
        _rung(name, _changed(name, recipe, changes[name]), files.get(name))
        for name, recipe in given.items()
    ]
    if adds_order_blind:
        rungs = [further for rung in rungs for further in _with_order_blind(rung)]
    _check_shares(rungs)
    return rungs


def _rung(name: str, recipe: Recipe, weights: Path | None) -> Rung:
    recipe, file = choose_weights(recipe, weights)
    return Rung(name, recipe, None if file is None else file.absolute())


def _by_name(overrides: Sequence[str], known: dict[str, Recipe]) -> dict[str, list[str]]:
    changes: dict[str, list[str]] = {name: [] for name in known}
    for text in overrides:
        key, _, _ = text.partition("=")
        name, colon, own_key = key.partition(":")
        if (own_key if colon else key).strip() == "training.seed":
            raise RecipeError(
                f"--set {text}: a comparison sets the seeds itself",
                "the same seeds for every recipe",
                "leave it out; --seeds N takes the seeds 0 to N - 1.",
            )
        if not colon:
            for every in changes.values():
                every.append(text)
            continue
        if name not in known:
            raise _unknown("--set", text, name, known)
        changes[name].append(text.partition(":")[2])
    return changes


def _files(weights: Sequence[str], known: dict[str, Recipe]) -> dict[str, Path]:
    files = {}
    for text in weights:
        name, equals, file = text.partition("=")
        if not equals or not file:
            raise RecipeError(
                f"--weights {text}",
                "a recipe's name and a file with '=' between",
                f"write --weights {next(iter(known))}={text}.",
            )
        if name not in known:
            raise _unknown("--weights", text, name, known)
        files[name] = Path(file)
    return files


def _unknown(option: str, text: str, name: str, known: dict[str, Recipe]) -> RecipeError:
    return RecipeError(
        f"{option} {text}: {name!r} is none of the recipes that are compared",
        f"one of {', '.join(known)}",
        nearest(name, known),
    )


def _changed(name: str, recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    try:
        return override(recipe, overrides)
    except RecipeError as error:
        raise RecipeError(
            f"{name}: {error.given}",
            error.expected,
            f"{error.remedy} A setting for one recipe alone: --set NAME:KEY=VALUE.",
        ) from error


def _with_order_blind(rung: Rung) -> list[Rung]:
    """The rung and its order-blind one, unless it is blind itself or its features are not fixed."""
    if rung.is_order_blind or rung.recipe.backbone.trainable != 0:
        return [rung]
    return [rung, rung.order_blind()]


def _check_shares(rungs: Sequence[Rung]) -> None:
    """All must hold out the same shares: else they see other clips."""
    first = rungs[0]
    for rung in rungs[1:]:
        if rung.recipe.split != first.recipe.split:
            raise RecipeError(
                f"recipe {rung.name}: split is {rung.recipe.split}, that of {first.name} is "
                f"{first.recipe.split}",
                "the same shares for validation and test in every recipe",
                "give all the same, such as --set split.val_fraction=0.15.",
            )
