"""predictions.csv, written by a run and read again to compare two runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from filmstrip.dataset.clip_table import read_clips, write_clips
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import RunError
from filmstrip.features.entry import ClipFacts
from filmstrip.model.classifier import load_classifier, probabilities
from filmstrip.training.answers import (
    Answers,
    paired_predictions,
    read_predictions,
    write_predictions,
)
from filmstrip.training.calibrate import calibrated
from filmstrip.training.run_folder import RunFolder


@pytest.fixture
def other_run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the finished run whose table a test may change."""
    return RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "other")))


def rewrite(run: RunFolder, old: str, new: str) -> None:
    text = run.predictions_file.read_text()
    assert old in text
    run.predictions_file.write_text(text.replace(old, new, 1))


def test_the_answers_of_one_split_are_read_as_they_were_written(finished_run: RunFolder) -> None:
    metrics = finished_run.metrics()
    assert metrics is not None
    for split in ("train", "val", "test"):
        answers = read_predictions(finished_run, split)
        assert len(answers) == metrics[split]["num_clips"]
        right = [answer.label == answer.predicted for answer in answers.values()]
        assert np.mean(right) == pytest.approx(metrics[split]["accuracy"])


def test_two_runs_on_the_same_clips_are_matched_by_name(
    finished_run: RunFolder, other_run: RunFolder
) -> None:
    lines = other_run.predictions_file.read_text().splitlines()
    other_run.predictions_file.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    pairs = paired_predictions(finished_run, other_run, "test")
    assert len(pairs) == len(read_predictions(finished_run, "test"))
    assert all(first == second for first, second in pairs)


def test_runs_on_other_clips_are_refused_with_how_to_train_on_the_same(
    finished_run: RunFolder, other_run: RunFolder
) -> None:
    name = next(iter(read_predictions(finished_run, "test")))
    rewrite(other_run, f"{name},", f"{name}-renamed,")
    with pytest.raises(RunError, match=name) as error:
        paired_predictions(finished_run, other_run, "test")
    assert f"--splits {finished_run.splits_file}" in error.value.remedy


def test_runs_that_disagree_on_a_label_are_refused(
    finished_run: RunFolder, other_run: RunFolder
) -> None:
    name, answer = next(iter(read_predictions(finished_run, "test").items()))
    rewrite(other_run, f"{name},{answer.label},", f"{name},sideways,")
    with pytest.raises(RunError, match=f"{name} is '{answer.label}' in one and 'sideways'"):
        paired_predictions(finished_run, other_run, "test")


def test_runs_between_which_a_clip_was_edited_are_refused(
    finished_run: RunFolder, other_run: RunFolder
) -> None:
    name = next(iter(read_predictions(finished_run, "test")))
    clips = read_clips(other_run.clips_file)
    write_clips(other_run.clips_file, {**clips, name: replace(clips[name], content="0" * 40)})
    with pytest.raises(RunError, match=f"1 clip of .* edited between the two: {name}"):
        paired_predictions(finished_run, other_run, "test")
    paired_predictions(finished_run, other_run, "train")


def test_an_unfinished_run_or_an_unknown_split_is_an_error(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="not a finished run"):
        read_predictions(RunFolder(tmp_path), "test")
    with pytest.raises(RunError, match="'tset'"):
        read_predictions(finished_run, "tset")


def test_the_threshold_of_the_validation_part_decides_what_is_answered(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    spec = load_classifier(finished_run.path).spec
    generator = np.random.default_rng(0)
    rows = [
        VideoRow(tmp_path / f"{place}.mp4", spec.class_names[place % 3], str(place), split)
        for split in ("val", "test")
        for place in range(60)
    ]
    index = VideoIndex(tmp_path, tuple(rows), class_names=spec.class_names)
    noise = generator.normal(size=(120, 3))
    noise[np.arange(120), index.labels] += 1.5

    logits = torch.tensor(4 * noise)  # too sure of itself, whatever the prior thinks
    val = np.array([row.split == "val" for row in index.rows])
    with_threshold = calibrated(spec, logits[val], index.subset("val").labels)
    assert with_threshold.temperature > 1.5
    assert with_threshold.threshold is not None
    probs = probabilities(logits, with_threshold.temperature).numpy()
    facts = [ClipFacts(8, 8, 1.0, 8)] * 120
    answers = Answers(index, probs, facts, with_threshold)
    answered = answers.is_answered
    assert (answered == (probs.max(axis=1) >= with_threshold.threshold)).all()
    right = probs.argmax(axis=1) == index.labels
    assert right[val].mean() < 0.95 <= right[val][answered[val]].mean()
    write_predictions(RunFolder(tmp_path), [answers])
    lines = RunFolder(tmp_path).predictions_file.read_text().splitlines()
    column = lines[0].split(",").index("abstains")
    assert [line.split(",")[column] == "no" for line in lines[1:]] == answered.tolist()
