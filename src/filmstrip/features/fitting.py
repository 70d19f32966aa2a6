"""Fit the sampling of a recipe to the clips that it will read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import TypeAdapter, ValidationError

from filmstrip.dataset.content import packed_clips
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import VideoError
from filmstrip.recipes.recipe import Recipe
from filmstrip.video.auto_sampling import (
    AutoSampling,
    ClipTimes,
    describe_sampling,
    fit_sampling,
    sampling_warnings,
)
from filmstrip.video.probe import probe
from filmstrip.video.sampling import RateSampling, Sampling

MOST_MEASURED = 500
"""Clips whose duration is read, evenly spread over the data set. Reading one takes milliseconds."""

Note = Callable[[str], None]


def fitted_recipe(
    recipe: Recipe, rows: Sequence[VideoRow], note: Note = lambda _text: None
) -> Recipe:
    """Return the recipe with the sampling that fits the clips.

    Args:
        recipe: with any sampling; only ``auto`` is changed.
        rows: all clips of the data set, whatever their split; labels are not looked at.
        note: receives the sampling with the reason for it, and warnings where it does not fit.
    """
    if rows and rows[0].packed_index is not None:
        return _for_packed(recipe, rows[0], note)
    clips = measure_clips(rows)
    sampling = fit_sampling(recipe.sampling, clips)
    if isinstance(recipe.sampling, AutoSampling) and isinstance(sampling, RateSampling):
        note(describe_sampling(sampling, clips))
    for warning in sampling_warnings(sampling, clips):
        note(f"WARNING: {warning}")
    return recipe.model_copy(update={"sampling": sampling})


def measure_clips(rows: Sequence[VideoRow]) -> ClipTimes:
    """Read the durations and frame rates of at most ``MOST_MEASURED`` clips.

    Clips that cannot be read are left out; extraction names them.
    """
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="measure") as pool:
        measured = [times for times in pool.map(_times, evenly_spread(rows)) if times is not None]
    return ClipTimes.of([seconds for seconds, _ in measured], [frames for _, frames in measured])


def evenly_spread(rows: Sequence[VideoRow]) -> list[VideoRow]:
    """Return at most ``MOST_MEASURED`` rows from all over the list."""
    num_chosen = min(len(rows), MOST_MEASURED)
    return [rows[place * len(rows) // num_chosen] for place in range(num_chosen)]


def _times(row: VideoRow) -> tuple[float, int] | None:
    try:
        info = probe(row.path)
    except VideoError:
        return None
    return info.duration_seconds, info.num_frames


def _for_packed(recipe: Recipe, row: VideoRow, note: Note) -> Recipe:
    """Packed clips were sampled when they were packed; ``filmstrip pack`` stores how."""
    if recipe.sampling != AutoSampling():
        return recipe.model_copy(
            update={"sampling": fit_sampling(recipe.sampling, ClipTimes.of([], []))}
        )
    try:
        stored = packed_clips(row.path).info.get("sampling")
        sampling: Sampling = TypeAdapter(Sampling).validate_python(stored)
        note(f"Sampling: {sampling!r}, as stored in {row.path.name}.")
    except ValidationError:
        sampling = fit_sampling(recipe.sampling, ClipTimes.of([], []))
        note(
            f"Sampling: {sampling!r}; {row.path.name} does not say how its clips were sampled. The "
            "model reads new videos that way, so set the rate of the arrays with "
            "--set sampling.frames_per_second=N."
        )
    return recipe.model_copy(update={"sampling": sampling})
