from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from filmstrip.dataset.index import VideoIndex, open_index
from filmstrip.dataset.split_file import read_splits
from filmstrip.features.extract import Extractor
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.inference.predict import load
from filmstrip.model.backbone import build_backbone
from filmstrip.model.specs import ResNet50Spec
from filmstrip.recipes.catalogue import load_recipe
from filmstrip.training.data import StoredClip
from filmstrip.training.pretrain import FrameParts, pretrain
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train

RECIPE = load_recipe(
    "resnet50-gru",
    [
        "framing.size=32",
        "sampling.num_frames=4",
        "backbone.pretrain_epochs=1",
        "training.epochs=1",
        "training.optimizer=sgd",  # it has the smallest checkpoints
    ],
)


@pytest.fixture(scope="module")
def run(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("pretrained") / "run")
    # Scaled to a hundredth: no lower precision, should that be the fastest here.
    train(TrainingRequest(data=videos, recipe=RECIPE), run.path, engine="eager-fp32")
    return run


@pytest.fixture(scope="module")
def pretrained(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.path / "pretraining" / "backbone.safetensors")


def pretrain_on(
    index: VideoIndex, splits: tuple[str, str], cache: Path, folder: Path, resume: bool = False
) -> dict[str, torch.Tensor]:
    """The backbone from the frames of one split, its best epoch chosen by another."""
    store = FeatureStore(cache / "features")
    reader = ClipReader(RECIPE.sampling, RECIPE.framing)
    extraction = Extractor(store, reader, engine=None).run(index.rows)

    def clips(split: str) -> Sequence[StoredClip]:
        part = index.subset(split)
        pairs = zip(part.rows, part.labels, strict=True)
        return [StoredClip(extraction[row].keys, int(label)) for row, label in pairs]

    parts = FrameParts(store, clips(splits[0]), clips(splits[1]))
    spec = RECIPE.backbone
    assert isinstance(spec, ResNet50Spec)
    return pretrain(spec, 32, RECIPE.training, parts, 3, folder, resume, Reporter())


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_the_backbone_is_taught_on_frames_of_the_training_part_alone(
    run: RunFolder,
    videos: Path,
    cache: Path,
    pretrained: dict[str, torch.Tensor],
    tmp_path: Path,
) -> None:
    index = read_splits(run.splits_file, open_index(videos))
    # With one epoch there is none to choose: another validation part must change nothing.
    by_hand = pretrain_on(index, ("train", "test"), cache, tmp_path / "1")
    assert_same(by_hand, pretrained)
    taken_up = pretrain_on(index, ("val", "test"), cache, tmp_path / "1", resume=True)
    assert_same(taken_up, pretrained)


def test_it_learns_and_is_frozen_afterwards(
    run: RunFolder, pretrained: dict[str, torch.Tensor]
) -> None:
    torch.manual_seed(RECIPE.training.seed)
    fresh = build_backbone(RECIPE.backbone, 32).trunk.state_dict()
    assert not torch.equal(fresh["layer4.2.conv3.weight"], pretrained["layer4.2.conv3.weight"])
    assert not torch.equal(fresh["bn1.running_mean"], pretrained["bn1.running_mean"])
    saved = load_file(run.model / "model.safetensors")
    trunk = {
        name.removeprefix("backbone.trunk."): tensor
        for name, tensor in saved.items()
        if name.startswith("backbone.trunk.")
    }
    assert_same(trunk, pretrained)


def test_the_model_answers_as_the_run_did(run: RunFolder, videos: Path) -> None:
    with (run.path / "predictions.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    answer = load(run.model).predict(videos / row["path"])
    assert answer.label == row["predicted"]
    assert answer.confidence == pytest.approx(float(row["confidence"]), abs=1e-4)


def test_its_own_history_and_checkpoints_lie_apart_from_those_of_the_head(run: RunFolder) -> None:
    for folder in (run.path, run.path / "pretraining"):
        with (folder / "history.csv").open(newline="") as file:
            [row] = csv.DictReader(file)
        assert float(row["train_loss"]) > 0
        assert (folder / "checkpoints" / "last.ckpt").is_file()


def test_the_features_are_scaled_to_the_range_of_the_training_part(
    run: RunFolder, videos: Path
) -> None:
    from filmstrip.features.engine import Engine
    from filmstrip.model.classifier import load_classifier

    classifier = load_classifier(run.path)
    engine, reader = Engine(classifier.backbone), ClipReader(RECIPE.sampling, RECIPE.framing)
    index = read_splits(run.splits_file, open_index(videos))
    train_rows = index.subset("train").rows
    features = torch.cat([engine.embed(reader.read(row)[0]) for row in train_rows])
    assert features.shape == (4 * len(train_rows), 2048)
    scaled = classifier.sequence.scaler(features)
    varies = features.amax(dim=0) - features.amin(dim=0) > 1e-3
    assert varies.sum() > 100
    low, high = scaled[:, varies].amin(dim=0), scaled[:, varies].amax(dim=0)
    torch.testing.assert_close(low, torch.zeros_like(low), atol=1e-2, rtol=0)
    torch.testing.assert_close(high, torch.ones_like(high), atol=1e-2, rtol=0)
