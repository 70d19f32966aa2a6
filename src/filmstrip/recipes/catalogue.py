"""Recipes by name, from a YAML file, and with single settings changed."""

from __future__ import annotations

import importlib
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from filmstrip.errors import RecipeError, nearest
from filmstrip.recipes.plain_yaml import MAX_CHARACTERS, parse_yaml
from filmstrip.recipes.recipe import Recipe
from filmstrip.video.auto_sampling import AutoSampling

DEFAULT_RECIPE = "lite-gru"

_PYDANTIC_OPENING = re.compile(r"^(Input should be|Value should have) ")

RECIPE_NAMES = (
    "lite-gru",
    "lite-bigru",
    "vgg16-lstm",
    "cnn-lstm",
    "xception-gru",
    "vgg16-bilstm",
    "resnet50-gru",
    "mean-linear",
)


SHORT_FORMS = {
    "lr": "learning_rate",
    "backbone_lr": "backbone_learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "batch": "batch_size",
    "batchsize": "batch_size",
    "opt": "optimizer",
    "optim": "optimizer",
    "optimiser": "optimizer",
    "scheduler": "schedule",
    "num_epochs": "epochs",
    "patience": "early_stopping",
    "smoothing": "label_smoothing",
    "clip": "gradient_clip",
    "grad_clip": "gradient_clip",
    "aug": "augmentation",
    "fps": "frames_per_second",
    "frames": "num_frames",
    "num_units": "hidden",
    "units": "hidden",
    "hidden_size": "hidden",
    "drop": "dropout",
    "dropout_rate": "dropout",
    "bidir": "bidirectional",
    "model": "name",
    "pretrained": "weights",
    "frozen": "trainable",
    "image_size": "size",
    "img_size": "size",
    "resolution": "size",
    "val_size": "val_fraction",
    "test_size": "test_fraction",
}
"""What other tools call a setting, for suggestions."""

_RANDOM_WEIGHTS = ("none", "random")


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe called ``name``, or the one in the YAML file ``name``, with overrides applied.

    Args:
        name: one of ``RECIPE_NAMES``, or the path of a ``.yaml`` file.
        overrides: texts such as ``head.hidden=512``; values are YAML.

    Raises:
        RecipeError: an unknown name or key, or a value that does not fit.
    """
    if name.endswith((".yaml", ".yml")):
        recipe = _read(Path(name))
    elif name in RECIPE_NAMES:
        recipe = _module(name).RECIPE
    else:
        raise RecipeError(
            f"recipe {name!r}: there is none of this name",
            f"one of {', '.join(RECIPE_NAMES)}, or a .yaml file",
            nearest(name, RECIPE_NAMES) + " 'filmstrip recipes' lists them all.",
        )
    return override(recipe, overrides)


def describe(name: str) -> str:
    """What a built-in recipe is and where it comes from: the docstring of its file."""
    return _module(name).__doc__ or ""


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML that ``load_recipe`` reads back to an equal one."""
    settings = recipe.model_dump(mode="json")
    if recipe.sampling == AutoSampling():
        settings["sampling"] = "auto"
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100)


def override(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """A copy of ``recipe`` with settings changed, each given as ``section.key=value``.

    Changing a section's ``kind`` puts that section's other settings to the new kind's defaults;
    ``sampling=auto`` is shorthand for ``sampling.kind=auto``.
    """
    settings = recipe.model_dump(mode="json")
    # A section's kind decides which other keys it has, so kinds are set first.
    texts = sorted(overrides, key=lambda text: not _names_a_kind(text.partition("=")[0].strip()))
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(
                f"override {text!r}",
                "a key and a value with '=' between, such as head.hidden=512",
                "write --set KEY=VALUE.",
            )
        _set(settings, key.strip(), _parse(text, value))
    return _validated(settings, f"recipe {recipe.name} with {', '.join(texts) or 'no change'}")


def choose_weights(recipe: Recipe, given: Path | None) -> tuple[Recipe, Path | None]:
    """Read what was given as ``--weights``: a file, or the word ``none`` or ``random``.

    The word means random weights, as ``--set backbone.weights=none`` does; a backbone that has no
    such setting starts from random weights anyway. A file of that name takes precedence.

    Args:
        recipe: whose backbone the weights are for.
        given: the option's value.

    Returns:
        The recipe, changed where the word was given, and the file.
    """
    if given is None or str(given).lower() not in _RANDOM_WEIGHTS or given.exists():
        return recipe, given
    if recipe.backbone.kind == "timm":
        recipe = override(recipe, ["backbone.weights=none"])
    return recipe, None


def _set(settings: dict[str, Any], key: str, value: object) -> None:
    *sections, last = key.split(".")
    place = settings
    for section in sections:
        inner = place.get(section)
        if not isinstance(inner, dict):
            raise _unknown_key(key, settings)
        place = inner
    if last not in place:
        raise _unknown_key(key, settings)
    if isinstance(value, str) and isinstance(place[last], dict) and "kind" in place[last]:
        sections, place, last = [*sections, last], place[last], "kind"
    if last == "kind" and value != place["kind"]:
        settings[sections[0]] = _defaults(sections[0], value)
    else:
        place[last] = value


def _names_a_kind(key: str) -> bool:
    return key.endswith(".kind") or "." not in key


def _defaults(section: str, kind: object) -> dict[str, Any]:
    """Every key of the section, with its default where it has one, and this ``kind``."""
    annotation = Recipe.model_fields[section].annotation
    specs: Iterable[type[BaseModel]] = get_args(annotation) or (annotation,)
    for spec in specs:
        if kind in get_args(spec.model_fields["kind"].annotation):
            defaults = {
                name: None if field.is_required() else field.default
                for name, field in spec.model_fields.items()
            }
            return {**defaults, "kind": kind}
    return {"kind": kind}


def _unknown_key(key: str, settings: dict[str, Any]) -> RecipeError:
    known = list(_flat(settings))
    return RecipeError(
        f"override {key!r}: the recipe has no such setting",
        "a key of the recipe, such as head.hidden or training.epochs",
        nearest(key, known, SHORT_FORMS)
        + f" 'filmstrip recipes {settings['name']}' shows them all.",
    )


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _parse(text: str, value: str) -> object:
    try:
        return parse_yaml(value)
    except ValueError as error:  # such as a 13th month
        raise RecipeError(
            f"override {text!r}: the value is not YAML",
            "a number, a word, or a list such as [16, 8]",
            "quote the value for the shell, as in --set 'head.hidden=[16, 8]'.",
        ) from error


def _read(path: Path) -> Recipe:
    try:
        with path.open(encoding="utf-8") as file:
            settings = parse_yaml(file.read(MAX_CHARACTERS + 1))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(
            f"{path}: cannot be read as a recipe ({reason})",
            "a YAML file as 'filmstrip recipes NAME --save my.yaml' writes it",
            "check the path, or save a recipe and start from that.",
        ) from error
    return _validated(settings, str(path))


def _validated(settings: object, origin: str) -> Recipe:
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        # A misspelt key is both unknown and missing: the unknown one tells more.
        fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        key = _key(settings, fault["loc"])
        expected, hint = _PYDANTIC_OPENING.sub("", fault["msg"]), ""
        if fault["type"] == "extra_forbidden":
            expected = "a setting that there is"
            hint = f"{nearest(key, _keys_of(Recipe), SHORT_FORMS)} "
        elif fault["type"] == "missing":
            expected = "every setting that has no default"
        elif fault["type"] == "tuple_type":
            expected = "a list, such as [128] or [plain, flip]"
        value = "is missing" if fault["type"] == "missing" else f"= {reprlib.repr(fault['input'])}"
        raise RecipeError(
            f"{origin}: {key or 'the recipe'} {value}",
            expected,
            f"{hint}'filmstrip recipes NAME' shows each setting of a recipe with its value.",
        ) from error


def _key(settings: object, places: Iterable[int | str]) -> str:
    """``head.hidden`` of pydantic's ``("head", "recurrent", "hidden")``: a kind is no key."""
    key = []
    for place in places:
        if isinstance(settings, dict):
            if place == settings.get("kind"):
                continue
            settings = settings.get(place)
        key.append(str(place))
    return ".".join(key)


def _keys_of(spec: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """Every section and key that there is, whatever the kinds."""
    for name, field in spec.model_fields.items():
        yield prefix + name
        for part in get_args(field.annotation) or (field.annotation,):
            if isinstance(part, type(BaseModel)):
                yield from _keys_of(part, f"{prefix}{name}.")


def _module(name: str) -> Any:
    return importlib.import_module(f"filmstrip.recipes.{name.replace('-', '_')}")
