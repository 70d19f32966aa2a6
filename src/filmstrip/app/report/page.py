"""``report.html``: a run on one page, for who must decide whether to believe its figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from filmstrip.app.pages.page import render, write_html
from filmstrip.app.report.data_card import DataCard, make_data_card, spread
from filmstrip.app.report.headline import make_headline
from filmstrip.app.report.leaks import make_leak_account
from filmstrip.app.report.mistakes import MOST_MISTAKES, Mistakes, worst_mistakes
from filmstrip.app.report.record import Record, read_record
from filmstrip.app.report.reproduce import train_command
from filmstrip.evaluation.calibration import TARGET_ACCURACY
from filmstrip.recipes.catalogue import to_yaml
from filmstrip.training.clock import training_seconds
from filmstrip.training.reporter import Reporter

_MOST_SKIPPED = 100
_MOST_CONFUSIONS = 10
_SECTIONS = [
    ("figures", "Figures"),
    ("mistakes", "Worst mistakes"),
    ("classes", "Classes"),
    ("trust", "Calibration"),
    ("data", "Data"),
    ("split", "Split"),
    ("leaks", "Leaks"),
    ("training", "Training"),
    ("again", "Do it again"),
]


def write_report(run: Path, out: Path | None = None, reporter: Reporter | None = None) -> Path:
    """Write the report of a finished run.

    What cannot be shown any more (a video that is gone, a plot that was deleted) is missing from
    the page, which says so.

    Args:
        run: the run folder.
        out: the page; ``report.html`` in the run folder if not given.
        reporter: hears of progress.

    Returns:
        The path of the page.

    Raises:
        RunError: the run is not finished.
        StorageError: the page cannot be written.
    """
    record = read_record(run)
    num_wrong = sum(
        row["split"] == record.split and row["predicted"] != row["label"]
        for row in record.predictions
    )
    num_steps = len(spread(record.splits)) + min(num_wrong, MOST_MISTAKES)
    with (reporter or Reporter()).phase("Writing the report", num_steps) as advance:
        data = make_data_card(record, advance)
        mistakes = worst_mistakes(record, advance)
    plots = _plots(record)
    page = out or run / "report.html"
    metrics = record.metrics
    text = render(
        "report.html",
        sections=_SECTIONS,
        name=run.absolute().name,
        path=run.absolute(),
        recipe=record.request.recipe,
        split=record.split,
        headline=make_headline(record),
        metrics=metrics,
        folds=metrics["folds"],
        parts=[(name, metrics[name]) for name in ("train", "val", "test") if name in metrics],
        per_class=list(
            zip(
                metrics[record.split]["per_class"],
                metrics[record.split]["intervals"]["per_class"],
                strict=True,
            )
        ),
        confusions=_confusions(record),
        target_accuracy=TARGET_ACCURACY,
        data=data,
        data_path=record.request.data,
        grouping=record.grouping,
        sides=_sides(record),
        skipped=record.skipped[:_MOST_SKIPPED],
        num_skipped=len(record.skipped),
        leaks=make_leak_account(record),
        mistakes=mistakes,
        plots=plots,
        fold_plots=[_read_bytes(fold.plots / "history.png") for fold in _folds(record)],
        training_seconds=training_seconds(run),
        command=train_command(record.request),
        recipe_yaml=to_yaml(record.request.recipe),
        versions=record.versions,
        missing=_missing(data, mistakes, plots),
    )
    write_html(page, text)
    return page


def _folds(record: Record) -> list[Any]:
    return record.folder.folds if record.metrics["folds"] else []


def _plots(record: Record) -> dict[str, bytes]:
    """The pictures that belong on the page; empty where one is gone."""
    names = ["history"]
    if record.split == "test":
        names += ["confusion", "per_class", "reliability", "coverage"]
    return {name: _read_bytes(record.folder.plots / f"{name}.png") for name in names}


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _confusions(record: Record) -> list[tuple[str, str, int, int]]:
    """Truth, answer, how often, of how many; the commonest first."""
    names = record.class_names
    counts = record.metrics[record.split]["confusion"]
    wrong = [
        (names[truth], names[answer], count, sum(row))
        for truth, row in enumerate(counts)
        for answer, count in enumerate(row)
        if truth != answer and count
    ]
    return sorted(wrong, key=lambda one: (-one[2], one[0], one[1]))[:_MOST_CONFUSIONS]


def _sides(record: Record) -> dict[str, Any]:
    """How many clips of each class, and how many groups, stand in each part of the split."""
    if record.fold_splits:
        columns = [f"fold {number}" for number in range(1, len(record.fold_splits) + 1)]
        parts = [[r for r in rows if r["split"] == "test"] for rows in record.fold_splits]
    else:
        columns = [name for name in ("train", "val", "test") if name in record.metrics]
        parts = [[r for r in record.splits if r["split"] == name] for name in columns]
    counts = [Counter(row["label"] for row in part) for part in parts]
    return {
        "columns": columns,
        "rows": [(name, [count[name] for count in counts]) for name in record.class_names],
        "num_clips": [len(part) for part in parts],
        "num_groups": [len({row["group"] for row in part}) for part in parts],
    }


def _missing(data: DataCard, mistakes: Mistakes, plots: dict[str, bytes]) -> list[str]:
    """What a whole report would show and this one cannot, in sentences."""
    missing = [
        f"plots/{name}.png is gone or cannot be read." for name, png in plots.items() if not png
    ]
    if data.gone:
        missing.append(
            f"{len(data.gone)} of the files looked at for the data card can no longer be read; the "
            f"first: {data.gone[0]}."
        )
    if mistakes.num_without_clip:
        missing.append(f"{mistakes.num_without_clip} of the worst mistakes stand without a clip.")
    return missing
