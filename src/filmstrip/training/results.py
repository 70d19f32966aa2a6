"""From a classifier's answers to what a run folder shows: figures, tables, pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.leaks import leak_warning
from filmstrip.errors import FilmstripError
from filmstrip.evaluation.baselines import majority_baseline, metadata_baseline
from filmstrip.evaluation.calibration_plots import plot_coverage, plot_reliability
from filmstrip.evaluation.contact_sheet import Mistake, plot_mistakes
from filmstrip.evaluation.drawing import put_banner
from filmstrip.evaluation.metrics import FIGURES, Metrics, evaluate, summarise_folds
from filmstrip.evaluation.plots import plot_confusion, plot_history, plot_per_class
from filmstrip.features.source import ClipReader
from filmstrip.model.classifier import CARD_FILE
from filmstrip.model.specs import ClassifierSpec
from filmstrip.storage import replacing
from filmstrip.training.answers import Answers, write_predictions
from filmstrip.training.card import model_card
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

NUM_MISTAKES_SHOWN = 8


def publish(
    folder: RunFolder,
    request: TrainingRequest,
    answers: Sequence[Answers],
    spec: ClassifierSpec,
    leaks: Mapping[str, Any],
) -> dict[str, Any]:
    """Write all that a run folder shows of ``answers``; ``metrics.json``, its content, last.

    Args:
        folder: the run's.
        request: what it was asked.
        answers: of its classifier, or of each fold's.
        spec: of the classifier in the folder, which with folds is none of those.
        leaks: what is known of clips that belong together and stand on two sides of the splits.
    """
    metrics = {"leaks": leaks, "grouping": _grouping(answers), **measure(answers, spec)}
    write_predictions(folder, answers)
    _draw(folder, answers, metrics, request.recipe.training.monitor)
    if leak_warning(metrics):
        for picture in folder.plots.glob("*.png"):
            put_banner(picture, "LEAKY FIGURES: see leaks in metrics.json")
    with replacing(folder.model / CARD_FILE) as temporary:
        temporary.write_text(
            model_card(request, metrics, spec.training_clips), encoding="utf-8", errors="replace"
        )
    folder.write_json(folder.metrics_file, metrics)
    return metrics


def measure(answers: Sequence[Answers], spec: ClassifierSpec) -> dict[str, Any]:
    """The content of ``metrics.json``: one split, or several folds pooled.

    Pooled figures count each clip by the classifier that had it in that split. All are of the
    calibrated classifiers: ``loss``, ``ece`` and ``brier`` depend on that, the answers do not. On
    ``val``, where the temperature may have been found, these three flatter.
    """
    metrics: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        if any(len(part.chosen(split)) for part in answers):
            metrics[split] = _figures(answers, split)
    metrics["calibration"] = _calibration(spec)
    metrics["baselines"] = _baselines(answers)
    metrics["folds"] = []
    if len(answers) > 1:
        metrics["folds"] = [_fold_figures(part) for part in answers]
        metrics["summary"] = summarise_folds(metrics["folds"])
    return metrics


def _grouping(answers: Sequence[Answers]) -> dict[str, Any]:
    """How the clips were grouped, in words and numbers."""
    index = answers[0].index
    return {
        "told": index.grouping,
        "num_clips": len(index),
        "num_groups": len(set(index.groups)),
    }


def _figures(answers: Sequence[Answers], split: str) -> Metrics:
    """The figures of one split, pooled over the classifiers."""
    each = [(part, part.chosen(split)) for part in answers]
    return evaluate(
        np.concatenate([part.probs[chosen] for part, chosen in each]),
        np.concatenate([part.index.labels[chosen] for part, chosen in each]),
        answers[0].index.class_names,
        groups=np.concatenate([np.array(p.index.groups)[chosen] for p, chosen in each]).tolist(),
        answered=np.concatenate([part.is_answered[chosen] for part, chosen in each]),
    )


def _fold_figures(part: Answers) -> dict[str, Any]:
    """The test figures of one fold, its calibration and its baselines."""
    test: Mapping[str, Any] = _figures([part], "test")
    figures = {name: test[name] for name in (*FIGURES, "num_clips")}
    return {**figures, "calibration": _calibration(part.spec), "baselines": _baselines([part])}


def _calibration(spec: ClassifierSpec) -> dict[str, float | None]:
    return {
        "temperature": spec.temperature,
        "threshold": spec.threshold,
        "num_calibration_clips": spec.num_calibration_clips,
        "num_familiarity_clips": check.num_held_out_clips if (check := spec.familiarity) else 0,
    }


def _baselines(answers: Sequence[Answers]) -> dict[str, Any]:
    """Accuracy of the commonest class and of the clips' metadata alone, pooled over folds."""
    majority, metadata, sizes = [], [], []
    for part in answers:
        labels, facts = part.index.labels, _metadata(part)
        train, test = part.chosen("train"), part.chosen("test")
        if not len(test):
            continue
        sizes.append(len(test))
        majority.append(
            majority_baseline(labels[train], labels[test], len(part.index.class_names))["accuracy"]
        )
        metadata.append(
            metadata_baseline(facts[train], labels[train], facts[test], labels[test])["accuracy"]
        )
    if not sizes:
        return {"majority": None, "metadata": None}
    return {
        "majority": float(np.average(majority, weights=sizes)),
        "metadata": float(np.average(metadata, weights=sizes)),
    }


def _metadata(answers: Answers) -> NDArray[np.float64]:
    """(N, 3): width, height, duration in seconds."""
    return np.array(
        [(fact.width, fact.height, fact.duration_seconds) for fact in answers.facts], float
    )


def _draw(
    folder: RunFolder, answers: Sequence[Answers], metrics: dict[str, Any], monitor: str
) -> None:
    """Draw the pictures below ``plots/``."""
    class_names = answers[0].index.class_names
    with folder.history_file.open(encoding="utf-8", newline="") as file:
        history = list(csv.DictReader(file))
    choose = min if monitor == "val_loss" else max
    best = choose(history, key=lambda row: float(row[monitor]))
    plot_history(history, folder.plots / "history.png", best_epoch=int(best["epoch"]))
    test = metrics.get("test")
    if test is None:
        return
    plot_confusion(test["confusion"], class_names, folder.plots / "confusion.png")
    plot_per_class(
        test["per_class"], test["intervals"]["per_class"], folder.plots / "per_class.png"
    )
    probs = np.concatenate([part.probs[part.chosen("test")] for part in answers])
    labels = np.concatenate([part.index.labels[part.chosen("test")] for part in answers])
    plot_reliability(probs, labels, folder.plots / "reliability.png")
    # With folds each classifier has a threshold of its own: no single place marks it.
    threshold = answers[0].spec.threshold if len(answers) == 1 else None
    plot_coverage(probs, labels, folder.plots / "coverage.png", threshold=threshold)
    mistakes, num_mistakes = _worst_mistakes(answers)
    plot_mistakes(mistakes, folder.plots / "mistakes.png", num_mistakes=num_mistakes)


def _worst_mistakes(answers: Sequence[Answers]) -> tuple[list[Mistake], int]:
    """The test clips answered wrongly with most confidence, worst first, and how many in all."""
    wrong = []
    for part in answers:
        for place in part.chosen("test"):
            predicted = int(part.probs[place].argmax())
            if predicted != part.index.labels[place]:
                wrong.append((float(part.probs[place, predicted]), part, int(place), predicted))
    wrong.sort(key=lambda mistake: -mistake[0])
    reader = ClipReader(UniformSampling(num_frames=6), Framing(size=160, fit="pad"))
    shown = []
    for confidence, part, place, predicted in wrong[:NUM_MISTAKES_SHOWN]:
        row = part.index.rows[place]
        try:
            frames, _ = reader.read(row)
        except FilmstripError:
            continue  # it was readable when its features were taken, and has gone since
        shown.append(
            Mistake(
                name=part.index.names[place],
                frames=frames,
                truth=row.label,
                predicted=part.index.class_names[predicted],
                confidence=confidence,
            )
        )
    return shown, len(wrong)
