"""A small task to learn: clips of features whose class a column tells, beside noise."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from filmstrip.features.entry import ClipFacts
from filmstrip.features.store import FeatureStore
from filmstrip.model.head import Head, build_head
from filmstrip.model.specs import HeadSpec, MeanLinearHeadSpec, RecurrentHeadSpec
from filmstrip.recipes.recipe import TrainingSpec
from filmstrip.training.data import (
    StoredClip,
    StoredClips,
    evaluation_batches,
    training_batches,
)
from filmstrip.training.fit import fit
from filmstrip.training.learner import Learner

GRU = RecurrentHeadSpec(hidden=(8,), pooling="mean-max", dropout=0.3, input_dropout=0.1, dense=(6,))
LINEAR = MeanLinearHeadSpec()


@dataclass(frozen=True)
class Task:
    """Clips to learn and to validate on, and how to learn them in a given folder."""

    store: FeatureStore
    train: list[StoredClip]
    val: list[StoredClip]
    num_classes: int
    width: int
    gru: HeadSpec = GRU
    linear: HeadSpec = LINEAR

    @staticmethod
    def spec(**settings: object) -> TrainingSpec:
        return TrainingSpec.model_validate(
            {"epochs": 4, "batch_size": 8, "learning_rate": 0.02, **settings}
        )

    def learner(self, spec: TrainingSpec, head: HeadSpec) -> Learner:
        torch.manual_seed(spec.seed)
        network = build_head(head, self.width, self.num_classes)
        return Learner(network, spec, self.num_classes, None, network.regularised_weights())

    def fit(
        self,
        folder: Path,
        spec: TrainingSpec,
        head: HeadSpec = GRU,
        resume: bool = False,
        advance: Callable[[str], None] = lambda _words: None,
        has_val: bool = True,
        note: Callable[[str], None] = lambda _sentence: None,
    ) -> Head:
        learner = self.learner(spec, head)
        seen = StoredClips(self.store, self.train, spec.augmentation, spec.seed)
        fit(
            learner,
            training_batches(seen, spec.batch_size),
            evaluation_batches(StoredClips(self.store, self.val), spec.batch_size)
            if has_val
            else None,
            spec,
            folder,
            resume,
            advance,
            note,
        )
        network = learner.network
        assert isinstance(network, Head)
        return network

    def val_loss(self, network: Head) -> float:
        [(features, lengths, labels)] = evaluation_batches(StoredClips(self.store, self.val), 99)
        with torch.no_grad():
            return float(F.cross_entropy(network(features, lengths), labels))

    @staticmethod
    def history(folder: Path) -> dict[str, list[float]]:
        with (folder / "history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows] for name in rows[0]}


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Eighteen clips of three classes to learn from, nine to validate on."""
    store = FeatureStore(tmp_path_factory.mktemp("features"))
    generator = torch.Generator().manual_seed(0)
    clips = []
    for number in range(27):
        label, length = number % 3, 3 + number % 4
        features = torch.rand(length, 6, generator=generator)
        features[:, label] += 0.7
        store.write(store.key(str(number)), features, ClipFacts(8, 8, 1.0, length))
        clips.append(StoredClip((store.key(str(number)),), label))
    return Task(store, clips[:18], clips[18:], num_classes=3, width=6)
