from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from filmstrip.errors import FilmstripError, RecipeError
from filmstrip.inference.explain import explain
from filmstrip.inference.predict import load
from filmstrip.model.classifier import VideoClassifier, load_classifier
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.decode import read_clip


@pytest.fixture(scope="module")
def classifier(finished_run: RunFolder) -> VideoClassifier:
    return load_classifier(finished_run.path)


@pytest.fixture(scope="module")
def clips(videos: Path) -> list[Path]:
    return sorted(videos.rglob("*.mp4"))[::3]


def margin(classifier: VideoClassifier, frames: np.ndarray, label: str) -> float:
    """By how much the logit of a class exceeds the mean of all; frames (T, S, S, 3) uint8."""
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2)[None]  # (1, T, 3, S, S)
    with torch.no_grad():
        logits = classifier(clip, torch.tensor([len(frames)]))[0]
    return float(logits[classifier.spec.class_names.index(label)] - logits.mean())


def without(frames: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The frames with the ``chosen`` cells (T, h, w) bool in the mean colour of all."""
    plain = frames.mean(axis=(0, 1, 2)).round().astype(np.uint8)
    cells = frames.shape[1] // chosen.shape[1]
    hidden = chosen.repeat(cells, axis=1).repeat(cells, axis=2)
    return np.where(hidden[..., None], plain, frames)


def test_what_is_explained_is_what_predict_answers(
    classifier: VideoClassifier, finished_run: RunFolder, clips: list[Path]
) -> None:
    explanation = explain(classifier, clips[0])
    answer = load(finished_run.path).predict(clips[0])
    assert explanation.label == explanation.answer.label == answer.label
    assert explanation.answer.probs == pytest.approx(answer.probs, abs=1e-4)
    assert not explanation.averages_views


def test_integrated_gradients_add_up_to_what_the_clip_has_over_a_plain_one(
    classifier: VideoClassifier, clips: list[Path]
) -> None:
    spec = classifier.spec
    for path in clips[:4]:
        explanation = explain(classifier, path)
        frames = read_clip(path, spec.sampling, spec.framing).frames
        everything = np.ones(explanation.contributions.shape, bool)
        label = explanation.label
        assert explanation.margin == pytest.approx(margin(classifier, frames, label), abs=1e-3)
        plain = margin(classifier, without(frames, everything), label)
        assert explanation.plain_margin == pytest.approx(plain, abs=1e-3)
        difference = explanation.margin - explanation.plain_margin
        assert explanation.contributions.sum() == pytest.approx(
            difference, abs=0.05 + 0.05 * abs(difference)
        )
        assert explanation.frame_contributions.shape == explanation.times_seconds.shape


def test_hiding_the_places_that_counted_most_costs_more_than_hiding_those_that_counted_least(
    classifier: VideoClassifier, clips: list[Path]
) -> None:
    spec = classifier.spec
    lost = {"most": 0.0, "least": 0.0}
    for path in clips:
        explanation = explain(classifier, path)
        frames = read_clip(path, spec.sampling, spec.framing).frames
        ranks = explanation.contributions.ravel().argsort().argsort()
        ranks = ranks.reshape(explanation.contributions.shape)
        num_hidden = ranks.size // 5
        for which, chosen in (
            ("most", ranks >= ranks.size - num_hidden),
            ("least", ranks < num_hidden),
        ):
            left = margin(classifier, without(frames, chosen), explanation.label)
            lost[which] += explanation.margin - left
    assert lost["most"] > 0
    assert lost["most"] > lost["least"]


def test_grad_cam_is_the_maps_weighted_by_the_mean_slopes_of_their_channels(
    classifier: VideoClassifier, clips: list[Path]
) -> None:
    """Selvaraju et al., Grad-CAM (2017), equations 1 and 2, without the ReLU that hides losses."""
    spec, backbone = classifier.spec, classifier.backbone.eval()
    for path in clips[:3]:
        explanation = explain(classifier, path, method="grad-cam")
        frames = torch.from_numpy(read_clip(path, spec.sampling, spec.framing).frames)
        with torch.no_grad():
            maps = backbone.maps(backbone.normalise(frames.permute(0, 3, 1, 2)))  # (T, C, h, w)
        maps.requires_grad_(True)
        logits = classifier.sequence(backbone.pool(maps)[None], torch.tensor([len(maps)]))[0]
        margin = logits[spec.class_names.index(explanation.label)] - logits.mean()
        (slopes,) = torch.autograd.grad(margin, maps)
        weights = slopes.mean(dim=(2, 3), keepdim=True)
        expected = (weights * maps.detach()).sum(dim=1)
        np.testing.assert_allclose(
            explanation.contributions, expected.double().numpy(), rtol=1e-3, atol=1e-6
        )


def test_another_class_is_explained_if_it_is_named(
    classifier: VideoClassifier, clips: list[Path]
) -> None:
    answered = explain(classifier, clips[0])
    other = next(name for name in classifier.spec.class_names if name != answered.label)
    explanation = explain(classifier, clips[0], other)
    assert (explanation.label, explanation.answer.label) == (other, answered.label)
    assert explanation.margin < answered.margin


def test_an_unknown_class_is_refused_with_the_nearest(
    classifier: VideoClassifier, clips: list[Path]
) -> None:
    with pytest.raises(RecipeError, match="--label rihgt: not a class of this model") as refusal:
        explain(classifier, clips[0], "rihgt")
    assert "right" in refusal.value.remedy


def test_a_missing_captum_is_told_with_how_to_install_it(
    classifier: VideoClassifier, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(FilmstripError, match="captum is not installed") as refusal:
        explain(classifier, clips[0])
    assert "filmstrip[explain]" in refusal.value.remedy
