from __future__ import annotations

import csv
import math
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from filmstrip.errors import RunError, StorageError
from filmstrip.features.store import ClipFacts, FeatureStore
from filmstrip.model.head import Head, build_head
from filmstrip.model.specs import MeanLinearHeadSpec, RecurrentHeadSpec
from filmstrip.recipes.recipe import TrainingSpec
from filmstrip.training.data import (
    StoredClip,
    StoredClips,
    evaluation_batches,
    training_batches,
)
from filmstrip.training.fit import fit
from filmstrip.training.learner import Learner
from filmstrip.video.transforms import Augmentation

NUM_CLASSES, WIDTH = 3, 6
GRU = RecurrentHeadSpec(hidden=(8,), pooling="mean-max", dropout=0.3, input_dropout=0.1, dense=(6,))
LINEAR = MeanLinearHeadSpec()
CROPPED = Augmentation(temporal_crop=0.5)


@dataclass
class Task:
    """Noisy clips of three classes, and how to learn them in a given folder."""

    store: FeatureStore
    train: list[StoredClip]
    val: list[StoredClip]

    def learner(self, spec: TrainingSpec, head: RecurrentHeadSpec | MeanLinearHeadSpec) -> Learner:
        torch.manual_seed(spec.seed)
        network = build_head(head, WIDTH, NUM_CLASSES)
        return Learner(network, spec, NUM_CLASSES, None, network.regularised_weights())

    def fit(
        self,
        folder: Path,
        spec: TrainingSpec,
        head: RecurrentHeadSpec | MeanLinearHeadSpec = GRU,
        resume: bool = False,
        advance: Callable[[str], None] = lambda _words: None,
    ) -> Head:
        learner = self.learner(spec, head)
        seen = StoredClips(self.store, self.train, spec.augmentation, spec.seed)
        fit(
            learner,
            training_batches(seen, spec.batch_size),
            evaluation_batches(StoredClips(self.store, self.val), spec.batch_size),
            spec,
            folder,
            resume,
            advance,
        )
        network = learner.network
        assert isinstance(network, Head)
        return network

    def val_loss(self, network: Head) -> float:
        [(features, lengths, labels)] = evaluation_batches(StoredClips(self.store, self.val), 99)
        with torch.no_grad():
            return float(F.cross_entropy(network(features, lengths), labels))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    store = FeatureStore(tmp_path_factory.mktemp("features"))
    generator = torch.Generator().manual_seed(0)
    clips = []
    for number in range(27):
        label, length = number % NUM_CLASSES, 3 + number % 4
        features = torch.rand(length, WIDTH, generator=generator)
        features[:, label] += 0.7
        store.write(store.key(str(number)), features, ClipFacts(8, 8, 1.0, length))
        clips.append(StoredClip((store.key(str(number)),), label))
    return Task(store, clips[:18], clips[18:])


def spec(**settings: object) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {"epochs": 4, "batch_size": 8, "learning_rate": 0.02, **settings}
    )


def history_of(folder: Path) -> dict[str, list[float]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def assert_same_weights(first: Head, second: Head) -> None:
    for (name, a), (_, b) in zip(
        first.state_dict().items(), second.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def interrupt_at(epoch: int) -> Callable[[str], None]:
    """Ctrl-C as the epoch ends; the training ends with the next batch."""
    num_told = 0

    def advance(_words: str) -> None:
        nonlocal num_told
        num_told += 1
        if num_told == epoch:
            signal.raise_signal(signal.SIGINT)

    return advance


def test_it_learns_and_the_best_epoch_by_validation_loss_is_kept(
    task: Task, tmp_path: Path
) -> None:
    network = task.fit(tmp_path, spec(epochs=25, learning_rate=0.1))
    history = history_of(tmp_path)
    assert history["epoch"] == list(range(1, 26))
    assert history["train_loss"][-1] < 0.5 < history["train_loss"][0]
    assert max(history["val_accuracy"]) > 0.8
    best = min(history["val_loss"])
    assert best < history["val_loss"][-1]  # else the last epoch would do as well
    assert task.val_loss(network) == pytest.approx(best, abs=1e-5)
    assert not network.training


def test_the_best_epoch_by_validation_accuracy_is_kept_the_first_of_equal_ones(
    task: Task, tmp_path: Path
) -> None:
    network = task.fit(tmp_path, spec(epochs=12, learning_rate=0.1, monitor="val_accuracy"))
    history = history_of(tmp_path)
    best = history["val_accuracy"].index(max(history["val_accuracy"]))
    assert task.val_loss(network) == pytest.approx(history["val_loss"][best], abs=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "decay", "cosine"])
def test_the_history_shows_the_learning_rate_that_each_epoch_was_trained_with(
    task: Task, tmp_path: Path, schedule: str
) -> None:
    task.fit(tmp_path, spec(schedule=schedule, decay=0.5), LINEAR)
    expected = {
        "constant": [0.02] * 4,
        "decay": [0.02, 0.01, 0.005, 0.0025],
        "cosine": [0.01 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)],
    }[schedule]
    assert history_of(tmp_path)["learning_rate"] == pytest.approx(expected)


def test_on_a_plateau_the_learning_rate_falls_once_the_loss_has_not_fallen_for_five_epochs(
    task: Task, tmp_path: Path
) -> None:
    task.fit(tmp_path, spec(epochs=15, schedule="plateau", decay=0.1, learning_rate=1e-12), LINEAR)
    rates = history_of(tmp_path)["learning_rate"]
    # The first epoch is the best; the five after it are borne, the one after these is not.
    assert rates == pytest.approx([1e-12] * 7 + [1e-13] * 8, rel=0.1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_the_optimizer_is_the_one_that_is_named(
    task: Task, tmp_path: Path, name: str, kind: type
) -> None:
    chosen = spec(optimizer=name, weight_decay=0.01)
    optimizer = task.learner(chosen, LINEAR).configure_optimizers()
    assert type(optimizer) is kind
    [group] = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.02, 0.01)
    if name == "sgd":
        assert (group["momentum"], group["nesterov"]) == (0.9, True)
    before = task.learner(chosen, LINEAR).network
    after = task.fit(tmp_path, chosen, LINEAR)
    assert not torch.equal(before.classify.weight, after.classify.weight)
    assert history_of(tmp_path)["train_loss"][-1] < history_of(tmp_path)["train_loss"][0]


def test_the_backbone_s_parameters_have_a_learning_rate_of_their_own_and_follow_the_schedule(
    task: Task,
) -> None:
    settings = spec(backbone_learning_rate=1e-5, schedule="decay", decay=0.5)
    network = build_head(GRU, WIDTH, NUM_CLASSES)
    own = list(network.layers.parameters())
    learner = Learner(network, settings, NUM_CLASSES, backbone_parameters=own)
    configured = learner.configure_optimizers()
    rest, backbone = configured["optimizer"].param_groups
    assert [id(parameter) for parameter in backbone["params"]] == [id(each) for each in own]
    assert len(rest["params"]) + len(own) == len(list(network.parameters()))
    assert not {id(each) for each in rest["params"]} & {id(each) for each in own}
    assert (rest["lr"], backbone["lr"]) == (0.02, 1e-5)
    configured["optimizer"].step()
    configured["lr_scheduler"]["scheduler"].step()
    assert (rest["lr"], backbone["lr"]) == (0.01, 5e-6)


def test_the_loss_is_smoothed_and_weighed_cross_entropy_and_the_l2_penalty(task: Task) -> None:
    weights = torch.tensor([0.5, 1.0, 2.0])
    torch.manual_seed(0)
    network = build_head(GRU, WIDTH, NUM_CLASSES).eval()
    settings = spec(label_smoothing=0.2, l2=0.1)
    learner = Learner(network, settings, NUM_CLASSES, weights, network.regularised_weights())
    learner.log = lambda *_args, **_options: None  # no trainer is there to take figures
    features, lengths = torch.rand(5, 4, WIDTH), torch.tensor([4, 3, 2, 4, 1])
    labels = torch.tensor([0, 1, 2, 1, 0])
    log_probs = network(features, lengths).log_softmax(dim=1)
    smoothed = F.one_hot(labels, NUM_CLASSES) * 0.8 + 0.2 / NUM_CLASSES
    cross_entropy = -(smoothed * weights * log_probs).sum() / weights[labels].sum()
    kernels = [module.weight for module in network.modules() if isinstance(module, torch.nn.Linear)]
    penalty = 0.1 * sum(kernel.square().sum() for kernel in kernels)
    assert len(kernels) == 2
    loss = learner.training_step((features, lengths, labels), 0)
    torch.testing.assert_close(loss, cross_entropy + penalty)


def test_l2_shrinks_the_dense_kernels(task: Task, tmp_path: Path) -> None:
    norms = [
        float(
            task.fit(tmp_path / str(l2), spec(epochs=15, l2=l2), LINEAR)
            .classify.weight.detach()
            .norm()
        )
        for l2 in (0, 0.1)
    ]
    assert norms[1] < 0.7 * norms[0]


def test_gradient_clipping_bounds_each_step(task: Task, tmp_path: Path) -> None:
    moved = []
    for clip in (0, 1e-3):
        chosen = spec(epochs=1, optimizer="sgd", learning_rate=1.0, gradient_clip=clip)
        start, end = (
            task.learner(chosen, LINEAR).network,
            task.fit(tmp_path / str(clip), chosen, LINEAR),
        )
        pairs = zip(start.parameters(), end.parameters(), strict=True)
        moved.append(math.sqrt(sum(float((b - a).detach().square().sum()) for a, b in pairs)))
    # Three steps; Nesterov momentum adds up to 1.9, 2.71 and 3.439 gradients at most.
    assert moved[1] < 1e-3 * (1.9 + 2.71 + 3.439) < moved[0]


def test_early_stopping_ends_after_that_many_epochs_without_a_better_one(
    task: Task, tmp_path: Path
) -> None:
    task.fit(tmp_path, spec(epochs=30, early_stopping=3, learning_rate=1e-12), LINEAR)
    assert history_of(tmp_path)["epoch"] == [1, 2, 3, 4]


def test_mixed_precision_keeps_whole_weights_and_learns_much_the_same(
    task: Task, tmp_path: Path
) -> None:
    losses = {}
    for precision in ("32", "bf16"):
        network = task.fit(tmp_path / precision, spec(precision=precision), GRU)
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        losses[precision] = history_of(tmp_path / precision)["train_loss"][-1]
    assert losses["bf16"] != losses["32"]
    assert losses["bf16"] == pytest.approx(losses["32"], rel=0.1)


def test_the_same_seed_gives_the_same_weights_and_another_others(
    task: Task, tmp_path: Path
) -> None:
    one = task.fit(tmp_path / "1", spec(augmentation=CROPPED))
    torch.rand(7)
    assert_same_weights(one, task.fit(tmp_path / "2", spec(augmentation=CROPPED)))
    other = task.fit(tmp_path / "3", spec(augmentation=CROPPED, seed=1))
    assert not torch.equal(one.classify.weight, other.classify.weight)


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "constant", "optimizer": "sgd"},
        {"schedule": "decay", "optimizer": "adamw"},
        {"schedule": "cosine", "gradient_clip": 0.5},
        {"schedule": "plateau", "decay": 0.1, "learning_rate": 1e-10, "epochs": 9},
        {"early_stopping": 2, "learning_rate": 0.3, "epochs": 9},
        {"monitor": "val_accuracy", "precision": "bf16"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_an_interrupted_training_goes_on_to_the_very_same_weights_and_history(
    task: Task, tmp_path: Path, settings: dict[str, object]
) -> None:
    chosen = spec(**{"epochs": 5, **settings}, augmentation=CROPPED)
    whole = task.fit(tmp_path / "whole", chosen)
    num_epochs = len(history_of(tmp_path / "whole")["epoch"])
    parts = tmp_path / "parts"
    for epoch in (2, num_epochs - 2):
        with pytest.raises(KeyboardInterrupt):
            task.fit(parts, chosen, resume=True, advance=interrupt_at(epoch))
    resumed = task.fit(parts, chosen, resume=True)
    assert_same_weights(resumed, whole)
    assert history_of(parts) == history_of(tmp_path / "whole")


def test_after_ctrl_c_the_last_whole_epoch_is_kept_and_ctrl_c_works_as_before(
    task: Task, tmp_path: Path
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    # A rate at which no epoch but the first is the best.
    chosen = spec(epochs=9, learning_rate=1e-12)
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, chosen, LINEAR, advance=interrupt_at(5))
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert (best["epoch"], last["epoch"]) == (0, 4)
    assert len(history_of(tmp_path)["epoch"]) == 5
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_in_the_last_epoch_ends_the_work_too(task: Task, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, spec(), LINEAR, advance=interrupt_at(4))
    assert len(history_of(tmp_path)["epoch"]) == 4


def test_a_second_ctrl_c_ends_the_work_at_once(task: Task, tmp_path: Path) -> None:
    def press_twice(_words: str) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the epoch goes on")

    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, spec(), LINEAR, advance=press_twice)


def test_progress_counts_the_epochs_that_a_checkpoint_brought(task: Task, tmp_path: Path) -> None:
    chosen = spec(epochs=6)
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path, chosen, LINEAR, advance=interrupt_at(4))
    told: list[str] = []
    task.fit(tmp_path, chosen, LINEAR, resume=True, advance=told.append)
    assert len(told) == 6
    assert "accuracy" in told[-1]


def test_a_training_that_had_ended_is_not_trained_further(task: Task, tmp_path: Path) -> None:
    for name, settings in {
        "early": {"epochs": 30, "early_stopping": 2, "learning_rate": 1e-12},
        "whole": {"epochs": 3},
    }.items():
        first = task.fit(tmp_path / name, spec(**settings), LINEAR)
        history = history_of(tmp_path / name)
        again = task.fit(tmp_path / name, spec(**settings), LINEAR, resume=True)
        assert history_of(tmp_path / name) == history
        assert_same_weights(first, again)


def test_a_folder_that_was_moved_still_knows_what_its_best_epoch_was(
    task: Task, tmp_path: Path
) -> None:
    # At this rate the loss rises after a few epochs.
    chosen = spec(epochs=14, learning_rate=0.3)
    whole = task.fit(tmp_path / "whole", chosen)
    losses = history_of(tmp_path / "whole")["val_loss"]
    best = losses.index(min(losses))
    assert 0 < best < 12
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path / "here", chosen, advance=interrupt_at(best + 2))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert_same_weights(task.fit(tmp_path / "there", chosen, resume=True), whole)


def test_without_resume_a_checkpoint_is_not_looked_at(task: Task, tmp_path: Path) -> None:
    task.fit(tmp_path, spec(epochs=2), LINEAR)
    again = task.fit(tmp_path, spec(epochs=2, seed=1), LINEAR)
    assert_same_weights(again, task.fit(tmp_path / "fresh", spec(epochs=2, seed=1), LINEAR))


def test_a_full_disk_is_a_storage_error_and_the_last_checkpoint_stays_whole(
    task: Task, tmp_path: Path, largest_file: Callable[[int], AbstractContextManager[None]]
) -> None:
    whole = task.fit(tmp_path / "whole", spec())
    with pytest.raises(KeyboardInterrupt):
        task.fit(tmp_path / "cut", spec(), advance=interrupt_at(3))
    checkpoint = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    with largest_file(len(before) // 2), pytest.raises(StorageError) as error:
        task.fit(tmp_path / "cut", spec(), resume=True)
    assert "same command again" in error.value.remedy
    assert checkpoint.read_bytes() == before
    assert {path.name for path in checkpoint.parent.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert_same_weights(task.fit(tmp_path / "cut", spec(), resume=True), whole)


def test_a_training_that_diverges_is_an_error_that_names_the_remedy(
    task: Task, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="diverged") as error:
        task.fit(tmp_path, spec(optimizer="sgd", learning_rate=1e30, l2=1), LINEAR)
    assert "learning_rate" in error.value.remedy


def test_epochs_are_logged_for_tensorboard(task: Task, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    task.fit(tmp_path, spec(), LINEAR)
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        logged = [event.value for event in events.Scalars(name)]
        assert logged == pytest.approx(history_of(tmp_path)[name], abs=1e-5)


def test_it_runs_outside_the_main_thread(task: Task, tmp_path: Path) -> None:
    trained: list[Head] = []
    thread = threading.Thread(
        target=lambda: trained.append(task.fit(tmp_path / "thread", spec(epochs=1), LINEAR))
    )
    thread.start()
    thread.join()
    assert_same_weights(trained[0], task.fit(tmp_path / "main", spec(epochs=1), LINEAR))
