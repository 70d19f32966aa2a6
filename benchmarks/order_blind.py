"""What the features of a recipe tell without the order of frames: controls for docs/results.md.

Two answers to the doubt whether a recurrent network's figure is owed to order: a logistic
regression on what is left of a clip when order is gone, its mean and deviation over time; and the
recipe itself, on features whose frames were shuffled within each clip.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from filmstrip.cache import Cache
from filmstrip.dataset.index import VideoIndex, open_index
from filmstrip.evaluation.metrics import evaluate, summarise_folds
from filmstrip.features.store import FeatureStore
from filmstrip.inference.extract import ExtractedVideos, extract_videos
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.run_folder import RunFolder

STRENGTHS = (0.0001, 0.001, 0.01, 0.1, 1.0)
"""Of the regression's regularisation (scikit-learn's ``C``)."""


def shuffled_cache(data: Path, recipe: Recipe, cache: Path) -> Path:
    """Fill ``cache`` with the features that ``recipe`` reads, each clip's frames shuffled.

    All views of a clip are shuffled alike, so that nothing but order is lost.
    """
    found = extract_videos([data], recipe)
    shuffled = FeatureStore(Cache(cache).features)
    for seed, row in enumerate(found.index.rows):
        for key in found.extraction[row].keys:
            entry = found.store.entry(key)
            if entry is None or shuffled.entry(key) is not None:
                continue
            features = found.store.read(key)  # (T, D)
            order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
            shuffled.write(key, features[order], entry.facts, entry.precision, entry.origin)
    return cache


def mean_and_deviation(data: Path, recipe: Recipe, run: Path) -> dict[str, Any]:
    """Figures, as ``metrics.json`` has them, of logistic regression on the splits of a run.

    It learns from the training and validation part together. Of ``STRENGTHS`` the one that is best
    on the test parts counts: that flatters this baseline, and nothing it is compared with.
    """
    found = extract_videos([data], recipe)
    index = open_index(data)
    inputs = _summaries(index, found)  # (V, N, 2 · D)
    by_strength = [_cross_validated(inputs, index, run, strength) for strength in STRENGTHS]
    return max(by_strength, key=lambda figures: figures["summary"]["accuracy"]["mean"])


def _summaries(index: VideoIndex, found: ExtractedVideos) -> NDArray[np.float64]:
    clips = []
    for row in index.rows:
        views = [found.store.read(key).double() for key in found.extraction[row].keys]
        clips.append([torch.cat([x.mean(dim=0), x.std(dim=0, correction=0)]) for x in views])
    return np.array([torch.stack(clip).numpy() for clip in clips]).swapaxes(0, 1)


def _cross_validated(
    inputs: NDArray[np.float64], index: VideoIndex, run: Path, strength: float
) -> dict[str, Any]:
    places = {name: place for place, name in enumerate(index.names)}
    folds, answers, truths = [], [], []
    for fold in RunFolder(run).folds:
        with fold.splits_file.open(encoding="utf-8") as file:
            sides = [(places[row["path"]], row["split"]) for row in csv.DictReader(file)]
        seen = [place for place, side in sides if side != "test"]
        test = [place for place, side in sides if side == "test"]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        model.fit(np.concatenate(inputs[:, seen]), np.tile(index.labels[seen], len(inputs)))
        probs = np.mean([model.predict_proba(view[test]) for view in inputs], axis=0)
        folds.append(evaluate(probs, index.labels[test], index.class_names))
        answers.append(probs)
        truths.append(index.labels[test])
    pooled = evaluate(np.concatenate(answers), np.concatenate(truths), index.class_names)
    return {"folds": folds, "summary": summarise_folds(folds), "test": pooled}
