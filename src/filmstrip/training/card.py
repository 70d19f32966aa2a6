"""The model card: what a model folder says of itself to a person."""

from __future__ import annotations

from typing import Any

from filmstrip.dataset.leaks import leak_warning
from filmstrip.dataset.relations import CHECKS
from filmstrip.evaluation.calibration import TARGET_ACCURACY
from filmstrip.evaluation.metrics import describe_interval
from filmstrip.model.specs import TrainingClips
from filmstrip.recipes.catalogue import to_yaml
from filmstrip.recipes.recipe import Recipe
from filmstrip.text import printable
from filmstrip.training.run_folder import TrainingRequest


def model_card(
    request: TrainingRequest, metrics: dict[str, Any], clips: TrainingClips | None = None
) -> str:
    """A README in Markdown: origin, figures with their intervals and baselines, and use."""
    recipe = request.recipe
    deviations = "\n".join(f"- {text}" for text in recipe.deviations) or "None."
    warning = leak_warning(metrics)
    data = printable(request.data.name)
    above = f"**{warning}**\n\n" if warning else ""
    return f"""{above}# {recipe.name}: a video classifier

Trained by Filmstrip on `{data}` with the recipe `{recipe.name}` ({recipe.source}).

## How good it is

{_figures(metrics, recipe)}

{_calibration(metrics, recipe)}

## What it learnt from

{_data(metrics)}{_lengths(clips)}

## How to use it

    filmstrip predict PATH_OF_THIS_FOLDER clip.mp4

or, in Python, `filmstrip.load("PATH_OF_THIS_FOLDER").predict("clip.mp4")`. The three files of this
folder are all that is needed.

## Where the recipe differs from its source

{deviations}

## The recipe

```yaml
{to_yaml(recipe)}```
"""


def _data(metrics: dict[str, Any]) -> str:
    """How the clips were grouped, and what was looked for between the sides of the split."""
    looked_for = [CHECKS[check] for check in metrics["leaks"]["checked"]]
    return (
        f"{metrics['grouping']['told']}. Looked for on two sides of the split: "
        f"{', '.join(looked_for)}; found: {metrics['leaks']['num_pairs']} pairs of clips."
        + (
            ""
            if "near" in metrics["leaks"]["checked"]
            else " Near-duplicates and recordings that were cut were NOT looked for."
        )
    )


def _lengths(clips: TrainingClips | None) -> str:
    """What the clips were like that the model learnt from."""
    if clips is None:
        return ""
    length, rate = clips.duration_seconds, clips.frames_per_second
    return (
        f"\n\nThe {clips.num_clips} training clips last {length.minimum:.3g} to "
        f"{length.maximum:.3g} s (median {length.median:.3g} s) at {rate.median:.4g} frames/s, "
        f"{clips.width.median:.0f}×{clips.height.median:.0f} pixels (medians). Ask about longer "
        "recordings with `filmstrip timeline`, which reads them in windows of the median length."
    )


def _figures(metrics: dict[str, Any], recipe: Recipe) -> str:
    test = metrics.get("test")
    if test is None:
        return "No test part was given, so nothing is known."
    low, high = test["intervals"]["accuracy"]
    baselines = metrics["baselines"]
    lines = [
        f"- Accuracy on {test['num_clips']} test clips: {test['accuracy']:.3f} "
        f"(95 % interval {low:.3f} to {high:.3f}); macro F1 {test['macro_f1']:.3f}; "
        f"mean average precision {test['mean_average_precision']:.3f}; loss {test['loss']:.3f}. "
        f"{describe_interval(test)}",
        f"- Expected calibration error of its probabilities: {test['ece']:.3f} "
        f"(Brier score {test['brier']:.3f}).",
        f"- The commonest class alone: {baselines['majority']:.3f}. "
        f"Width, height and duration alone: {baselines['metadata']:.3f}.",
    ]
    if metrics["folds"]:
        accuracy = metrics["summary"]["accuracy"]
        others = "" if recipe.training.refit else " but those of its validation part"
        lines.insert(
            1,
            f"- Over {len(metrics['folds'])} folds, whole groups held out: mean "
            f"{accuracy['mean']:.3f}, standard deviation {accuracy['standard_deviation']:.3f}, "
            f"from {accuracy['min']:.3f} to {accuracy['max']:.3f}. This model was then trained on "
            f"all clips{others}; it has no test part of its own.",
        )
    return "\n".join(lines)


def _calibration(metrics: dict[str, Any], recipe: Recipe) -> str:
    calibration = metrics["calibration"]
    temperature, threshold = calibration["temperature"], calibration["threshold"]
    told = (
        f"Its answer to a clip is the mean of {len(recipe.views) * recipe.num_temporal_crops}: "
        f"views {', '.join(recipe.views)}; temporal crops {recipe.num_temporal_crops}. "
        f"Its logits are divided by a temperature of {temperature:.3f}, found on "
        f"{calibration['num_calibration_clips']} clips that were held out for it. "
    )
    if number := calibration.get("num_familiarity_clips"):
        told += (
            "It marks clips as unfamiliar that are farther from its training clips than 99 % of "
            f"{number} held-out clips are. "
        )
    if threshold is None:
        return told + "It has no threshold to abstain: these clips gave none."
    told += (
        f"Below a confidence of {threshold:.4f} it would rather not answer: from there on at least "
        f"{100 * TARGET_ACCURACY:.0f} % of the answers to them were right."
    )
    test = metrics.get("test")
    if test is None:
        return told
    whose = "each fold's model, by its own threshold," if metrics["folds"] else "it"
    shares = f"{100 * test['coverage']:.0f} %, and {100 * test['accuracy_answered']:.0f} %"
    return f"{told} Of the test clips {whose} answered {shares} of these rightly."
