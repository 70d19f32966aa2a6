"""A finished run measured again: on its own split, or on other labelled videos.

Of other videos, those that the model has learnt from are recognised and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from filmstrip.cache import Cache
from filmstrip.dataset.clip_table import clips_of, counted_clips, first_of, read_clips
from filmstrip.dataset.index import VideoIndex, open_index
from filmstrip.dataset.layout import ClassFolders
from filmstrip.dataset.rows import SkippedFile, composed, same_name
from filmstrip.dataset.split import SPLITS
from filmstrip.dataset.split_file import read_splits
from filmstrip.errors import DatasetError, nearest
from filmstrip.evaluation.calibration import is_answered
from filmstrip.evaluation.metrics import evaluate
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.features.extract import Extractor
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.inference.leak_check import LeakCheck
from filmstrip.model.classifier import VideoClassifier, load_classifier, probabilities
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder


def evaluate_run(
    run: Path,
    data: Path | None = None,
    split: str = "test",
    cache: Path | None = None,
    reporter: Reporter | None = None,
    engine: str = "auto",
    allow_leak: bool = False,
    near_duplicates: bool = True,
    class_folders: ClassFolders = "auto",
) -> tuple[dict[str, Any], list[SkippedFile]]:
    """Measure the classifier of ``run``.

    Args:
        run: a run folder; with ``data``, a model folder will do. Of a run with folds, each fold's
            classifier answers its own clips, and the answers are pooled.
        data: other labelled videos, or the run's own in another place; if not given, the run's own.
        split: which part: ``train``, ``val`` or ``test``; data without splits is taken whole.
        cache: the feature cache; ``default_cache()`` if not given.
        reporter: hears of progress.
        engine: how a frozen backbone is run; ``auto`` measures what is fastest.
        allow_leak: with ``data``, also measure clips that the model has learnt from.
        near_duplicates: with ``data``, decode the clips to recognise copies that were encoded
            again, and pieces of recordings.
        class_folders: which folders of ``data`` are the classes, where folders hold folders.

    Returns:
        The metrics, with what is known of leaks as ``leaks``, and what could not be read.

    Raises:
        FilmstripError: no such run, split or data, or the model has learnt from all clips.
    """
    reporter = reporter or Reporter()
    keep_incomplete = False
    places = Cache.at(cache)
    store = FeatureStore(places.features)
    choice = EngineChoice(engine, places.engines, reporter.note, reporter.note)
    if data is not None:
        classifier = load_classifier(run)
        index = open_index(data, class_folders=class_folders)
        for sentence in index.summary():
            reporter.note(sentence)
        index = _labelled_as(classifier, index, split)
        check = LeakCheck(run, data, split, allow_leak, near_duplicates)
        index, leaks = check.apply(index, places, reporter)
        parts = [(classifier, index)]
    else:
        folder = RunFolder(run)
        request = folder.request()
        keep_incomplete = request.keep_incomplete
        leaks = folder.leaks()
        if split == "val" and request.recipe.training.refit:
            reporter.note(
                "WARNING: training.refit: the model has learnt from the validation part, too. "
                "metrics.json has the figures of one that had not."
            )
        folders = folder.folds or [folder]
        with _told_of_new_place(run):
            index = folder.without_skipped(request.open_index())
            own = [read_splits(part.splits_file, index) for part in folders]
        _note_edited(folder, index, split, reporter)
        parts = [
            (load_classifier(part.path), _part(part, whole, split))
            for part, whole in zip(folders, own, strict=True)
        ]
    probs, labels, answered = [], [], []
    groups: list[str] = []
    skipped: list[SkippedFile] = []
    for classifier, index in parts:
        read, answers, missed = _answer(classifier, index, store, choice, keep_incomplete, reporter)
        probs.append(answers)
        labels.append(read.labels)
        answered.append(is_answered(answers, classifier.spec.threshold))
        groups += read.groups
        skipped += missed
    class_names = parts[0][0].spec.class_names
    metrics = evaluate(
        np.concatenate(probs),
        np.concatenate(labels),
        class_names,
        groups=groups,
        answered=np.concatenate(answered),
    )
    return {"leaks": leaks, **metrics}, skipped


@contextmanager
def _told_of_new_place(run: Path) -> Iterator[None]:
    """Add to an error in the run's own data that it may have been moved, and what to do then."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(
            error.given,
            error.expected,
            f"{error.remedy.rstrip('.')}; or, if the videos were moved, give their new place: "
            f"filmstrip evaluate {run} NEW_PLACE. Clips that the model has learnt from are "
            "recognised and left out.",
        ) from error


def _note_edited(folder: RunFolder, index: VideoIndex, split: str, reporter: Reporter) -> None:
    """Warn where clips are not those that the run had, though they have their names."""
    if not folder.clips_file.is_file():
        return
    stored = read_clips(folder.clips_file)
    edited = [
        name
        for name, clip in clips_of(index).items()
        if name in stored and clip.content and stored[name].content not in ("", clip.content)
    ]
    if edited:
        reporter.note(
            f"WARNING: {counted_clips(edited)} of the run's data were edited since it was trained: "
            f"{first_of(edited)}. The metrics on {split} are those of the clips as they are now."
        )


def _part(folder: RunFolder, index: VideoIndex, split: str) -> VideoIndex:
    """The clips that the run had in ``split``; those that it could not read are not among them."""
    chosen = index.subset(split)
    if not chosen.rows:
        raise DatasetError(
            f"{folder.splits_file}: no clip is in the split {split!r}",
            "a split of the run: train, val or test",
            f"{nearest(split, SPLITS)} Choose another --split, or give other data to evaluate on.",
        )
    return chosen


def _labelled_as(classifier: VideoClassifier, index: VideoIndex, split: str) -> VideoIndex:
    """Clips of other data, their classes in the order of the classifier's."""
    known = classifier.spec.class_names
    spelling = {same_name(name): composed(name) for name in known}
    if len(spelling) < len(known):  # letters of a sign alphabet may differ only in case
        spelling = {composed(name): composed(name) for name in known}
    label_of = {
        name: spelling.get(same_name(name), spelling.get(name)) for name in index.class_names
    }
    unknown = [name for name, label in label_of.items() if label is None]
    if unknown:
        raise DatasetError(
            f"{index.root}: its class {unknown[0]!r} is unknown to the model",
            f"only classes that the model was trained on: {', '.join(known[:10])}",
            f"{nearest(unknown[0], known)} Rename or remove the folders of other classes.",
        )
    rows = tuple(
        replace(row, label=label_of[row.label] or "")
        for row in index.rows
        if row.split in ("", split)
    )
    if not rows:
        raise DatasetError(
            f"{index.root}: no clip is in the split {split!r}",
            "a split of the data: train, val or test",
            f"{nearest(split, SPLITS)} Choose another --split.",
        )
    return replace(index, rows=rows, class_names=tuple(map(composed, known)))


def _answer(
    classifier: VideoClassifier,
    index: VideoIndex,
    store: FeatureStore,
    engine_choice: EngineChoice,
    keep_incomplete: bool,
    reporter: Reporter,
) -> tuple[VideoIndex, NDArray[np.float64], Sequence[SkippedFile]]:
    """The clips that could be read, their probabilities (N, K), and the others."""
    spec = classifier.spec
    reader = ClipReader(spec.sampling, spec.framing)
    engine = Engine(classifier.backbone, choice=engine_choice)
    extractor = Extractor(store, reader, engine, spec.views, spec.backbone.name, keep_incomplete)
    with reporter.phase("Extracting features", len(index)) as advance:
        extraction = extractor.run(index.rows, advance)
    rows = tuple(row for row in index.rows if row in extraction)
    probs = []
    sequence = classifier.sequence.eval()
    with torch.inference_mode():
        for row in rows:
            views = torch.stack([store.read(key) for key in extraction[row].keys])
            probs.append(probabilities(sequence.answer(views), spec.temperature).numpy())
    answers = np.array(probs).reshape(len(rows), len(spec.class_names))
    return replace(index, rows=rows), answers, extraction.skipped
