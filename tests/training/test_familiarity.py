from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from filmstrip.dataset.synthetic import render_clip
from filmstrip.inference.predict import Predictor, load
from filmstrip.model.familiarity import cosine_distances, nearest_mean
from filmstrip.training.familiarity import (
    MAX_REFERENCES,
    NUM_NEIGHBOURS,
    build_familiarity,
    choose_references,
    find_threshold,
    held_out_distances,
)
from filmstrip.training.run_folder import RunFolder


def test_distance_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    clips, references = (torch.rand(n, 16, generator=generator) for n in (7, 40))
    distances = nearest_mean(cosine_distances(clips, references), NUM_NEIGHBOURS)
    neighbours = NearestNeighbors(n_neighbors=NUM_NEIGHBOURS, metric="cosine").fit(references)
    expected = neighbours.kneighbors(clips)[0].mean(axis=1)
    np.testing.assert_allclose(distances.numpy(), expected, atol=1e-6)


def test_held_out_distances_leave_out_the_own_group() -> None:
    features = torch.eye(4).repeat_interleave(2, dim=0)  # each clip has an equal one in its group
    groups = [f"g{number // 2}" for number in range(8)]
    distances = held_out_distances(features, groups, features, groups)
    np.testing.assert_allclose(distances, 1)


def test_held_out_distances_leave_out_clips_of_the_only_group() -> None:
    features = torch.rand(3, 4)
    assert not len(held_out_distances(features, ["one"] * 3, features, ["one"] * 3))


@pytest.mark.parametrize("num_clips", [5, 20, 60, 99, 400, 2000])
def test_threshold_flags_at_most_one_new_clip_in_a_hundred(num_clips: int) -> None:
    rng = np.random.default_rng(num_clips)
    draw = lambda number: np.exp(rng.normal(-3, 0.3, number))  # noqa: E731
    shares = [(draw(2000) > find_threshold(draw(num_clips))).mean() for _ in range(100)]
    assert np.mean(shares) <= 0.0125


def test_references_are_of_all_classes_alike() -> None:
    labels = np.repeat([0, 1, 2], [3000, 300, 30])
    chosen = choose_references(labels, num_features=100, seed=0)
    assert len(set(chosen.tolist())) == MAX_REFERENCES
    assert np.bincount(labels[chosen]).tolist() == [241, 241, 30]


def test_references_of_wide_features_are_few() -> None:
    assert len(choose_references(np.zeros(5000, int), num_features=100_000, seed=0)) == 41


def test_check_flags_beyond_its_threshold_alone() -> None:
    references = torch.eye(8)
    check = build_familiarity(references, np.linspace(0.5, 0.9, 150))
    assert check.spec.num_held_out_clips == 150
    assert not check.is_unfamiliar(torch.ones(8))  # at distance 1 - 1/√8 from each
    assert check.is_unfamiliar(-torch.ones(8))


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    return load(finished_run.path)


def test_run_flags_other_videos_and_no_held_out_clip(
    predictor: Predictor, videos: Path, finished_run: RunFolder
) -> None:
    rng = np.random.default_rng(0)
    others = [
        predictor.predict_frames(render_clip(motion, rng), 16)
        for motion in ("left", "growing", "clockwise", "darkening")
    ]
    assert [answer.unfamiliar for answer in others] == [True] * 4
    own = [predictor.predict(path) for path in sorted(videos.rglob("*.mp4"))]
    assert not any(answer.unfamiliar for answer in own)
    config = json.loads((finished_run.model / "config.json").read_text())
    assert config["familiarity"]["num_held_out_clips"] >= 16


def test_stream_flags_what_predict_flags(predictor: Predictor) -> None:
    frames = render_clip("growing", np.random.default_rng(1))
    for is_chunked in (False, True):
        stream = predictor.stream(is_chunked=is_chunked)
        for number, frame in enumerate(frames):
            stream.push(frame, number / 16)
        assert stream.finish(len(frames) / 16).unfamiliar is True


def test_model_without_a_check_says_nothing(finished_run: RunFolder, tmp_path: Path) -> None:
    from filmstrip.model.classifier import load_classifier

    classifier = load_classifier(finished_run.path)
    classifier.spec = classifier.spec.model_copy(update={"familiarity": None})
    classifier.familiarity = None
    classifier.save(tmp_path)
    answer = load(tmp_path).predict_frames(render_clip("left", np.random.default_rng(0)), 16)
    assert answer.unfamiliar is None
