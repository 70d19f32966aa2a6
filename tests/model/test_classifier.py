from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from filmstrip.errors import FilmstripError, RunError, WeightsError
from filmstrip.model.classifier import VideoClassifier, load_classifier
from filmstrip.model.specs import (
    ClassifierSpec,
    ConvNetSpec,
    RecurrentHeadSpec,
    ScalerSpec,
)
from filmstrip.video.sampling import RateSampling
from filmstrip.video.transforms import Framing

SPEC = ClassifierSpec(
    class_names=("jump", "run", "Ünïcode ✓"),
    sampling=RateSampling(frames_per_second=7.5, max_frames=9),
    framing=Framing(size=16, fit="pad"),
    backbone=ConvNetSpec(channels=(4, 6), grid=2),
    scaler=ScalerSpec(kind="standard"),
    head=RecurrentHeadSpec(cell="lstm", hidden=(5,), bidirectional=True, pooling="attention"),
    recipe="cnn-lstm",
    weights_origin="trained from scratch",
)


def some_clips() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randint(0, 256, (3, 6, 3, 16, 16), dtype=torch.uint8), torch.tensor([6, 1, 4])


@pytest.fixture
def classifier() -> VideoClassifier:
    torch.manual_seed(0)
    classifier = VideoClassifier(SPEC)
    classifier.sequence.scaler.fit([torch.randn(20, 24) * 3 + 1])
    return classifier.eval()


@pytest.fixture
def folder(classifier: VideoClassifier, tmp_path: Path) -> Path:
    classifier.save(tmp_path / "model")
    return tmp_path / "model"


def refusal(folder: Path, kind: type[FilmstripError]) -> FilmstripError:
    with pytest.raises(kind) as caught:
        load_classifier(folder)
    error = caught.value
    assert str(folder) in error.given
    assert error.expected
    assert error.remedy
    return error


def edit_config(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))


@torch.no_grad()
def test_padding_and_company_move_no_logit(classifier: VideoClassifier) -> None:
    clips, lengths = some_clips()
    logits = classifier(clips, lengths)
    assert logits.shape == (3, 3)
    for row, clip, length in zip(logits, clips, lengths, strict=True):
        alone = classifier(clip[None, :length], length[None])[0]
        torch.testing.assert_close(row, alone, rtol=0, atol=1e-5)
    for clip, length in zip(clips, lengths, strict=True):
        clip[length:] = 255 - clip[length:]
    assert torch.equal(classifier(clips, lengths), logits)


@torch.no_grad()
def test_frames_go_the_same_way_as_through_features(classifier: VideoClassifier) -> None:
    clips, _ = some_clips()
    features = classifier.backbone(classifier.backbone.normalise(clips.flatten(0, 1)))
    lengths = torch.tensor([6, 6, 6])
    logits = classifier.sequence(features.unflatten(0, (3, 6)), lengths)
    torch.testing.assert_close(classifier(clips, lengths), logits)


@torch.no_grad()
def test_one_that_answers_by_temporal_crops_averages_its_answers_to_them(
    classifier: VideoClassifier,
) -> None:
    clips, lengths = some_clips()
    cropping = VideoClassifier(SPEC.model_copy(update={"num_temporal_crops": 2}))
    cropping.load_state_dict(classifier.state_dict())
    logits = cropping.eval()(clips, lengths)
    for row, clip, length in zip(logits, clips, lengths.tolist(), strict=True):
        num_kept = math.ceil(4 * length / 5)
        parts = torch.stack([clip[:num_kept], clip[length - num_kept : length]])
        apart = classifier(parts, torch.tensor([num_kept, num_kept]))
        torch.testing.assert_close(row, apart.mean(dim=0))


@torch.no_grad()
def test_one_that_answers_by_both_views_answers_a_mirrored_clip_the_same(
    classifier: VideoClassifier,
) -> None:
    clips, lengths = some_clips()
    both = VideoClassifier(SPEC.model_copy(update={"views": ("plain", "flip")}))
    both.load_state_dict(classifier.state_dict())
    mirrored = clips.flip(dims=(4,))
    logits = both.eval()(clips, lengths)
    torch.testing.assert_close(both(mirrored, lengths), logits)
    apart = [classifier(view, lengths) for view in (clips, mirrored)]
    torch.testing.assert_close(logits, torch.stack(apart).mean(dim=0))
    assert not torch.allclose(*apart)


@torch.no_grad()
def test_a_saved_classifier_answers_the_same_bit_for_bit(
    classifier: VideoClassifier, folder: Path
) -> None:
    loaded = load_classifier(folder)
    assert loaded.spec == SPEC
    assert not any(module.training for module in loaded.modules())
    assert torch.equal(loaded(*some_clips()), classifier(*some_clips()))


def test_a_model_folder_holds_the_weights_and_the_configuration(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_the_run_folder_around_a_model_is_taken_for_it(folder: Path) -> None:
    assert load_classifier(folder.parent).spec == SPEC


def test_saving_again_replaces_what_was_there(classifier: VideoClassifier, folder: Path) -> None:
    with torch.no_grad():
        classifier.sequence.head.classify.bias.fill_(7)
    classifier.save(folder)
    assert load_classifier(folder).sequence.head.classify.bias.tolist() == [7, 7, 7]
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_a_model_is_refused(missing: str, folder: Path) -> None:
    (folder / missing).unlink()
    assert "holds no trained model" in refusal(folder, RunError).given
    assert "holds no trained model" in refusal(folder / "nowhere", RunError).given


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"null"])
def test_a_damaged_configuration_is_refused(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    assert "is not a Filmstrip model's configuration" in refusal(folder, RunError).given


def test_a_configuration_with_an_unknown_setting_is_refused_with_its_name(folder: Path) -> None:
    edit_config(folder, lambda config: config["head"].update(teeth=3))
    assert "head.recurrent.teeth" in refusal(folder, RunError).given


def test_a_configuration_with_a_wrong_value_is_refused_with_the_reason(folder: Path) -> None:
    edit_config(folder, lambda config: config["framing"].update(size=-3))
    assert "framing.size: Input should be greater than" in refusal(folder, RunError).given


@pytest.mark.parametrize("num_kept_bytes", [0, 5, 100, -1])
def test_truncated_weights_are_refused(num_kept_bytes: int, folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:num_kept_bytes])
    assert "model.safetensors: does not fit" in refusal(folder, WeightsError).given


def test_weights_of_another_model_are_refused_with_the_tensor(folder: Path) -> None:
    edit_config(folder, lambda config: config["head"].update(hidden=[7]))
    assert "sequence.head.layers.0.weight_ih_l0" in refusal(folder, WeightsError).given


def test_weights_that_lack_a_tensor_are_refused_with_its_name(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["sequence.scaler.offset"]
    save_file(tensors, folder / "model.safetensors")
    assert "sequence.scaler.offset" in refusal(folder, WeightsError).given
