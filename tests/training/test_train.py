from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.utils.class_weight import compute_sample_weight
from torch.nn import functional as F

from filmstrip.dataset.index import open_index
from filmstrip.errors import DatasetError, FilmstripError, RecipeError, RunError, StorageError
from filmstrip.evaluation.temperature import PRIOR_DEVIATION, fit_temperature
from filmstrip.features.engine import Engine
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.inference.evaluate import evaluate_run
from filmstrip.model.backbone import build_backbone
from filmstrip.model.classifier import load_classifier
from filmstrip.model.weights import load_backbone_weights
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import locked
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train

MakeRecipe = Callable[..., Recipe]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_the_default_recipe_learns_to_tell_motions_apart(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    sharp = recipe(
        "lite-gru", "framing.size=64", "backbone.grid=4", "head.hidden=32", "training.epochs=30"
    )
    metrics = train(TrainingRequest(data=videos, recipe=sharp), tmp_path / "run")
    assert metrics["train"]["accuracy"] > 0.9
    assert metrics["test"]["accuracy"] > 0.6
    assert metrics["baselines"] == {
        "majority": pytest.approx(1 / 3),
        "metadata": pytest.approx(1 / 3),
    }


def test_a_data_folder_whose_name_is_no_text_is_trained_on_and_found_again(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(videos, tmp_path / os.fsdecode(b"caf\xe9")))
    run = RunFolder(tmp_path / "run")
    metrics = train(TrainingRequest(data=data, recipe=recipe("mean-linear")), run.path)
    assert run.request().data == data
    assert evaluate_run(run.path)[0]["accuracy"] == metrics["test"]["accuracy"]
    assert r"`caf\udce9`" in (run.model / "README.md").read_text(encoding="utf-8")


def test_what_cannot_be_learnt_from_is_left_out_and_listed_and_the_rest_goes_on(
    own_videos: Path, recipe: MakeRecipe, tmp_path: Path, listener: Any
) -> None:
    (own_videos / "lone").mkdir()
    lone = Path(shutil.copy(own_videos / "up" / "up_0.mp4", own_videos / "lone" / "only.mp4"))
    noise, empty, cut = (own_videos / "left" / f"left_{i}.mp4" for i in (1, 3, 5))
    noise.write_bytes(b"no video at all" * 100)
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:900])
    (own_videos / "right" / "notes.txt").write_text("no video's suffix")
    odd = own_videos / "right" / b"right_\xff.mp4".decode(errors="surrogateescape")
    (own_videos / "right" / "right_2.mp4").rename(odd)
    out = tmp_path / "run"
    request = TrainingRequest(
        data=own_videos, recipe=recipe("mean-linear"), allow_missing_classes=True
    )
    metrics = train(request, out, reporter=listener)
    reasons = {row["path"]: row["reason"] for row in table(out / "skipped.csv")}
    names = [path.relative_to(own_videos).as_posix() for path in (noise, empty, cut, lone)]
    assert set(reasons) == {*names, "right/notes.txt"}
    assert "only clip of the class 'lone'" in reasons["lone/only.mp4"]
    assert "empty" in reasons[names[1]]
    assert all("next:" in reasons[name] for name in names[:3])
    (note,) = (note for note in listener.notes if "skipped.csv" in note)
    assert "1 .txt (not videos)" in note
    assert "3 .mp4 (unreadable)" in note
    assert "1 .mp4 (only clip of its class)" in note
    assert sum(metrics[side]["num_clips"] for side in ("train", "val", "test")) == 21
    answered = {row["path"] for row in table(out / "predictions.csv")}
    assert odd.relative_to(own_videos).as_posix() in answered
    assert not answered & set(reasons)
    measured, skipped = evaluate_run(out)
    assert measured["confusion"] == metrics["test"]["confusion"]
    assert skipped == []


def test_a_folder_with_one_class_is_refused_and_leaves_no_run_behind(
    own_videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    shutil.rmtree(own_videos / "left")
    shutil.rmtree(own_videos / "up")
    request = TrainingRequest(data=own_videos, recipe=recipe("mean-linear"))
    with pytest.raises(DatasetError, match="fewer than two classes"):
        train(request, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_a_folder_of_which_one_class_can_be_read_is_refused_and_names_a_file(
    own_videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    for path in own_videos.rglob("*.mp4"):
        if path.parent.name != "up":
            path.write_bytes(b"")
    request = TrainingRequest(data=own_videos, recipe=recipe("mean-linear"))
    with pytest.raises(DatasetError, match="16 of 24 clips cannot be read") as error:
        train(request, tmp_path / "run")
    assert ".mp4" in error.value.remedy


@pytest.mark.parametrize(
    ("data", "override", "kind"),
    [
        ("mistyped", "training.epochs=1", DatasetError),
        ("videos", "backbone.name=tf_efficientnet_lite9", RecipeError),
        ("videos", "backbone.stage=99", RecipeError),
    ],
)
def test_a_slip_in_the_request_leaves_nothing_in_the_way_of_the_next_attempt(
    videos: Path,
    recipe: MakeRecipe,
    tmp_path: Path,
    data: str,
    override: str,
    kind: type[FilmstripError],
) -> None:
    out = tmp_path / "run"
    slip = TrainingRequest(data=videos.parent / data, recipe=recipe("mean-linear", override))
    with pytest.raises(kind):
        train(slip, out)
    RunFolder(out).check(TrainingRequest(data=videos, recipe=recipe("mean-linear")), resume=False)


def test_random_weights_are_said_loudly_and_stay_in_the_model(
    videos: Path, recipe: MakeRecipe, tmp_path: Path, listener: Any
) -> None:
    random = recipe("mean-linear", "backbone.weights=none")
    train(TrainingRequest(data=videos, recipe=random), tmp_path / "run", reporter=listener)
    assert any(note.startswith("WARNING") and "RANDOM" in note for note in listener.notes)
    assert load_classifier(tmp_path / "run").spec.weights_origin == "random"


def test_embedded_weights_are_no_reason_for_a_warning(finished_run: RunFolder) -> None:
    assert "ImageNet" in load_classifier(finished_run.path).spec.weights_origin


def test_the_temperature_is_fitted_to_the_answers_of_the_validation_part_alone(
    finished_run: RunFolder,
) -> None:
    spec = load_classifier(finished_run.path).spec

    def fitted(*splits: str) -> float:
        rows = [row for row in table(finished_run.predictions_file) if row["split"] in splits]
        probs = [[float(row[f"prob_{name}"]) for name in spec.class_names] for row in rows]
        labels = [spec.class_names.index(row["label"]) for row in rows]
        return fit_temperature(spec.temperature * np.log(probs), labels, PRIOR_DEVIATION)

    assert spec.temperature == pytest.approx(fitted("val"), rel=1e-4)
    for others in (("test",), ("train",), ("val", "test")):
        assert spec.temperature != pytest.approx(fitted(*others), rel=1e-3)


def test_all_views_are_kept_in_the_cache(
    videos: Path, recipe: MakeRecipe, tmp_path: Path, listener: Any
) -> None:
    both = recipe("mean-linear", "training.views=[plain, flip]")
    request = TrainingRequest(data=videos, recipe=both)
    train(request, tmp_path / "run", False, tmp_path / "cache", listener)
    assert len(list(FeatureStore(tmp_path / "cache" / "features").keys())) == 2 * 24
    (words,) = (words for title, _, words in listener.phases if title == "Extracting features")
    assert len(words) == 24
    assert words[-1].startswith("0 cached, 0 unreadable, ")


def test_a_view_that_only_the_finished_model_asks_for_is_computed_too(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    mirrored = recipe("mean-linear", "views=[flip]")
    train(
        TrainingRequest(data=videos, recipe=mirrored), tmp_path / "run", False, tmp_path / "cache"
    )
    assert load_classifier(tmp_path / "run").spec.views == ("flip",)
    assert len(list(FeatureStore(tmp_path / "cache" / "features").keys())) == 2 * 24
    measured, _ = evaluate_run(tmp_path / "run", cache=tmp_path / "cache")
    figures = RunFolder(tmp_path / "run").metrics()
    assert figures is not None
    assert measured["loss"] == pytest.approx(figures["test"]["loss"], abs=1e-4)


def test_a_refit_learns_from_the_validation_part_too_after_that_has_been_asked(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    plain, again = (RunFolder(tmp_path / name) for name in ("plain", "again"))
    quick = ("training.epochs=4", "scaler.kind=standard")
    first = train(TrainingRequest(data=videos, recipe=recipe("mean-linear", *quick)), plain.path)
    refit = recipe("mean-linear", *quick, "training.refit=true")
    figures = train(TrainingRequest(data=videos, recipe=refit), again.path)
    assert figures["val"] == first["val"]
    assert figures["test"]["loss"] != first["test"]["loss"]
    spec = load_classifier(again.path).spec
    assert spec.temperature == load_classifier(plain.path).spec.temperature
    assert again.history_file.read_text() == plain.history_file.read_text()

    index = open_index(videos)
    rows = [row for row in table(again.splits_file) if row["split"] in ("train", "val")]
    reader = ClipReader(refit.sampling, refit.framing)
    engine = Engine(load_classifier(again.path).backbone)
    by_name = dict(zip(index.names, index.rows, strict=True))
    seen = torch.cat([engine.embed(reader.read(by_name[row["path"]])[0]) for row in rows])
    offset = load_classifier(again.path).sequence.scaler.offset
    torch.testing.assert_close(offset, seen.mean(dim=0), rtol=1e-3, atol=1e-3)


def test_a_partly_unfrozen_backbone_learns_in_its_last_units_alone(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    thawed = recipe("mean-linear", "backbone.trainable=1", "training.epochs=1")
    train(TrainingRequest(data=videos, recipe=thawed), tmp_path / "run")
    given = build_backbone(thawed.backbone, 32)
    load_backbone_weights(given, thawed.backbone, None)
    saved = load_file(tmp_path / "run" / "model" / "model.safetensors")
    names = {id(module): name for name, module in given.named_modules()}
    last = names[id(given.trainable_units()[0])]
    changed = {
        name
        for name, tensor in given.state_dict().items()
        if not torch.equal(saved[f"backbone.{name}"], tensor)
    }
    assert changed
    assert all(name.startswith(f"{last}.") for name in changed)


def test_balanced_class_weights_are_those_of_scikit_learn(
    own_videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    for number in range(5):
        (own_videos / "up" / f"up_{number}.mp4").unlink()
    # One step of no length: the history's loss is that of the weights which are kept.
    still = recipe(
        "mean-linear",
        "training.class_weights=balanced",
        "training.epochs=1",
        "training.batch_size=99",
        "training.learning_rate=1e-15",
        "training.weight_decay=0",
    )
    run = RunFolder(tmp_path / "run")
    train(TrainingRequest(data=own_videos, recipe=still), run.path)
    classifier = load_classifier(run.path)
    reader = ClipReader(classifier.spec.sampling, classifier.spec.framing)
    engine = Engine(classifier.backbone)
    sides = {row["path"]: row["split"] for row in table(run.splits_file)}
    index = open_index(own_videos)
    chosen = [i for i, name in enumerate(index.names) if sides[name] == "train"]
    features = torch.stack([engine.embed(reader.read(index.rows[i])[0]) for i in chosen])
    labels = index.labels[chosen]
    with torch.no_grad():
        logits = classifier.sequence(features, torch.full((len(chosen),), features.shape[1]))
    losses = F.cross_entropy(logits, torch.from_numpy(labels), reduction="none").numpy()
    weights = compute_sample_weight("balanced", labels)
    told = float(table(run.history_file)[0]["train_loss"])
    assert told == pytest.approx(np.average(losses, weights=weights), abs=1e-4)
    assert abs(told - losses.mean()) > 1e-3


def test_a_folder_in_which_another_process_trains_is_refused(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    request = TrainingRequest(data=videos, recipe=recipe("mean-linear"))
    with locked(tmp_path / "run"), pytest.raises(RunError, match="another Filmstrip process"):
        train(request, tmp_path / "run")


def test_a_finished_run_is_not_overwritten_and_resuming_it_trains_nothing(
    finished_run: RunFolder,
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.path.rglob("*")}
    with pytest.raises(RunError, match="finished run already"):
        train(finished_run.request(), finished_run.path)
    assert train(finished_run.request(), finished_run.path, resume=True) == finished_run.metrics()
    after = {path: path.stat().st_mtime_ns for path in finished_run.path.rglob("*")}
    assert after == before


def test_a_run_is_resumed_with_the_settings_it_began_with_or_not_at_all(
    finished_run: RunFolder, recipe: MakeRecipe
) -> None:
    other = finished_run.request().model_copy(
        update={"recipe": recipe("lite-gru", "head.hidden=17"), "num_folds": 2}
    )
    with pytest.raises(RunError, match="another recipe, num_folds"):
        train(other, finished_run.path, resume=True)


def test_a_folder_with_other_things_in_it_is_refused(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("do not touch")
    with pytest.raises(RunError, match=r"thesis\.tex"):
        train(TrainingRequest(data=videos, recipe=recipe("mean-linear")), tmp_path)


def test_a_file_where_the_run_should_be_is_a_storage_error(
    videos: Path, recipe: MakeRecipe, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StorageError):
        train(TrainingRequest(data=videos, recipe=recipe("mean-linear")), tmp_path / "run")


def test_a_disk_that_fills_up_is_a_storage_error_and_the_run_can_go_on_later(
    videos: Path,
    recipe: MakeRecipe,
    tmp_path: Path,
    largest_file: Callable[[int], AbstractContextManager[None]],
) -> None:
    request = TrainingRequest(data=videos, recipe=recipe("mean-linear"))
    with largest_file(20_000), pytest.raises(StorageError) as error:
        train(request, tmp_path / "run")
    assert "disk" in error.value.given or "limit" in error.value.given
    assert "same command again" in error.value.remedy
    assert train(request, tmp_path / "run", resume=True)["test"]["num_clips"] > 0
