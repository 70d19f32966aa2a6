"""From a classifier's answers to what a run folder shows: figures, tables, pictures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filmstrip.dataset.index import VideoIndex
from filmstrip.errors import FilmstripError
from filmstrip.evaluation.baselines import majority_baseline, metadata_baseline
from filmstrip.evaluation.metrics import evaluate, summarise_folds
from filmstrip.evaluation.plots import (
    Mistake,
    plot_confusion,
    plot_history,
    plot_mistakes,
    plot_per_class,
)
from filmstrip.features.entry import ClipFacts
from filmstrip.features.source import ClipReader
from filmstrip.model.classifier import CARD_FILE
from filmstrip.storage import replacing, write_table
from filmstrip.training.card import model_card
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

NUM_MISTAKES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one classifier to the clips of an index.

    Attributes:
        index: the clips, each with its split.
        probs: (N, K), in the order of the index's rows.
        facts: what is known of each clip besides its picture, in the same order.
    """

    index: VideoIndex
    probs: NDArray[np.float64]
    facts: Sequence[ClipFacts]

    def of(self, split: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Probabilities (M, K) and labels (M,) of one split."""
        chosen = self.chosen(split)
        return self.probs[chosen], self.index.labels[chosen]

    def chosen(self, split: str) -> NDArray[np.int64]:
        """Places of the clips of one split."""
        return np.array([i for i, row in enumerate(self.index.rows) if row.split == split], int)


def publish(
    folder: RunFolder, request: TrainingRequest, answers: Sequence[Answers]
) -> dict[str, Any]:
    """Write all that a run folder shows of ``answers``; ``metrics.json``, its content, last."""
    metrics = measure(answers)
    _write_predictions(folder, answers)
    _draw(folder, answers, metrics, request.recipe.training.monitor)
    with replacing(folder.model / CARD_FILE) as temporary:
        temporary.write_text(model_card(request, metrics), encoding="utf-8")
    folder.write_json(folder.metrics_file, metrics)
    return metrics


def measure(answers: Sequence[Answers]) -> dict[str, Any]:
    """The content of ``metrics.json``: one split, or several folds pooled.

    Pooled figures count each clip by the classifier that had it in that split.
    """
    class_names = answers[0].index.class_names
    metrics: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        parts = [part.of(split) for part in answers]
        probs = np.concatenate([probs for probs, _ in parts])
        labels = np.concatenate([labels for _, labels in parts])
        if len(labels):
            metrics[split] = evaluate(probs, labels, class_names)
    metrics["baselines"] = _baselines(answers)
    metrics["folds"] = []
    if len(answers) > 1:
        metrics["folds"] = [_fold_figures(part) for part in answers]
        metrics["summary"] = summarise_folds(metrics["folds"])
    return metrics


def _fold_figures(answers: Answers) -> dict[str, Any]:
    """The test figures of one fold, and its baselines."""
    test = evaluate(*answers.of("test"), answers.index.class_names)
    figures = {name: test[name] for name in ("accuracy", "top5", "loss", "macro_f1", "num_clips")}
    return {**figures, "baselines": _baselines([answers])}


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


def _write_predictions(folder: RunFolder, answers: Sequence[Answers]) -> None:
    """Write ``predictions.csv``: every clip of one split, or the test clips of all folds."""
    class_names = answers[0].index.class_names
    columns = ["path", "label", "group", "split", "fold", "predicted", "confidence"]
    prob_columns = [f"prob_{label}" for label in class_names]
    table = []
    for number, part in enumerate(answers, start=1):
        index = part.index
        for name, row, probs in zip(index.names, index.rows, part.probs, strict=True):
            if len(answers) > 1 and row.split != "test":
                continue
            table.append(
                {
                    "path": name,
                    "label": row.label,
                    "group": row.group,
                    "split": row.split,
                    "fold": number if len(answers) > 1 else "",
                    "predicted": class_names[int(probs.argmax())],
                    "confidence": f"{probs.max():.6f}",
                    **dict(zip(prob_columns, (f"{prob:.6f}" for prob in probs), strict=True)),
                }
            )
    write_table(folder.path / "predictions.csv", [*columns, *prob_columns], table)


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
