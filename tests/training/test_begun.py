"""Runs that go on after their data has changed, and those that must not."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import NoVideoError, RunError
from filmstrip.features.source import ClipReader
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.training.train import train
from filmstrip.video.encode import write_video

MakeRecipe = Callable[..., Recipe]


def write_list(videos: Path) -> Path:
    """A table of the clips, which a test can edit."""
    table = videos / "clips.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group"))
        for clip in sorted(videos.rglob("*.mp4")):
            writer.writerow((clip.relative_to(videos), clip.parent.name, clip.stem))
    return table


@pytest.fixture(scope="module")
def trained(
    videos: Path, recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunFolder]:
    """Videos with a table, and a finished run on it; not to be changed."""
    folder = tmp_path_factory.mktemp("begun")
    table = write_list(Path(shutil.copytree(videos, folder / "videos")))
    run = RunFolder(folder / "run")
    train(TrainingRequest(data=table, recipe=recipe("mean-linear")), run.path)
    return table, run


class Changeable:
    """A copy of the run and of its data. ``cut`` makes the run one that was killed."""

    def __init__(self, trained: tuple[Path, RunFolder], folder: Path, **settings: Any) -> None:
        self.videos = Path(shutil.copytree(trained[0].parent, folder / "videos"))
        self.table = self.videos / "clips.csv"
        self.run = RunFolder(Path(shutil.copytree(trained[1].path, folder / "run")))
        request = self.run.request().model_copy(update={"data": self.table, **settings})
        stored = json.loads(self.run.request_file.read_text())
        self.run.write_json(
            self.run.request_file, {**stored, "request": request.model_dump(mode="json")}
        )

    def cut(self) -> None:
        self.run.metrics_file.unlink()

    def edit_table(self, old: str, new: str) -> None:
        text = self.table.read_text()
        assert old in text
        self.table.write_text(text.replace(old, new))

    def clip(self, split: str) -> Path:
        """The first clip of a split."""
        rows = csv.DictReader(self.run.splits_file.open(newline=""))
        return self.videos / next(row["path"] for row in rows if row["split"] == split)

    def resume(self, reporter: Any = None) -> dict[str, Any]:
        return train(self.run.request(), self.run.path, resume=True, reporter=reporter)


@pytest.fixture
def own(trained: tuple[Path, RunFolder], tmp_path: Path) -> Changeable:
    return Changeable(trained, tmp_path)


def add(own: Changeable) -> str:
    shutil.copy(own.videos / "up" / "up_1.mp4", own.videos / "up" / "new.mp4")
    own.table.write_text(own.table.read_text() + "up/new.mp4,up,new\n")
    return r"1 clip added \(up/new\.mp4\)"


def remove(own: Changeable) -> str:
    own.edit_table("up/up_1.mp4,up,up_1\n", "")
    return r"1 clip removed \(up/up_1\.mp4\)"


def rename(own: Changeable) -> str:
    (own.videos / "up" / "up_1.mp4").rename(own.videos / "up" / "new.mp4")
    own.edit_table("up/up_1.mp4", "up/new.mp4")
    return r"1 clip renamed \(up/up_1\.mp4 to up/new\.mp4\)"


def edit(own: Changeable) -> str:
    shutil.copy(own.videos / "up" / "up_1.mp4", own.videos / "up" / "up_2.mp4")
    return r"1 clip edited \(up/up_2\.mp4\)"


def relabel(own: Changeable) -> str:
    own.edit_table("up/up_1.mp4,up", "up/up_1.mp4,left")
    return r"1 clip relabelled \(up/up_1\.mp4 from 'up' to 'left'\)"


def regroup(own: Changeable) -> str:
    own.edit_table("up,up_1", "up,up_2")
    return r"1 clip moved to another group \(up/up_1\.mp4 from 'up_1' to 'up_2'\)"


@pytest.mark.parametrize("change", [add, remove, rename, edit, relabel, regroup])
def test_resume_refuses_changed_data_before_anything_is_done(
    own: Changeable, change: Callable[[Changeable], str], listener: Any
) -> None:
    own.cut()
    pattern = change(own)
    before = (own.run.path / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    with pytest.raises(RunError, match=pattern) as error:
        own.resume(listener)
    assert "another --out" in error.value.remedy
    assert listener.phases == []
    assert (own.run.path / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def test_resume_on_unchanged_data_ends_with_the_same_metrics(
    own: Changeable, trained: tuple[Path, RunFolder]
) -> None:
    own.cut()
    assert own.resume() == trained[1].metrics()


def test_resume_refuses_a_splits_file_that_was_edited(
    trained: tuple[Path, RunFolder], tmp_path: Path, listener: Any
) -> None:
    splits = Path(shutil.copy(trained[1].splits_file, tmp_path / "splits.csv"))
    own = Changeable(trained, tmp_path, splits=splits)
    own.cut()
    name = own.clip("test").relative_to(own.videos).as_posix()
    splits.write_text(splits.read_text().replace(",test", ",train"))
    with pytest.raises(RunError, match=f"{name} was in test and is in train now"):
        own.resume(listener)
    assert "Training" not in [title for title, *_ in listener.phases]


def test_resume_refuses_a_quarantine_that_was_edited(
    trained: tuple[Path, RunFolder], tmp_path: Path
) -> None:
    quarantine = tmp_path / "bad.csv"
    quarantine.write_text("path,reason\nup/up_1.mp4,black\n")
    own = Changeable(trained, tmp_path, quarantine=quarantine)
    own.cut()
    with pytest.raises(RunError, match=r"1 clip removed \(up/up_1\.mp4\)"):
        own.resume()


def test_resume_refuses_folds_whose_split_differs(
    trained: tuple[Path, RunFolder], recipe: MakeRecipe, tmp_path: Path, listener: Any
) -> None:
    table, _ = trained
    run = RunFolder(tmp_path / "run")
    request = TrainingRequest(data=table, recipe=recipe("mean-linear"), num_folds=2)
    train(request, run.path)
    for name in ("metrics.json", "folds/2/metrics.json"):
        (run.path / name).unlink()
    splits = run.fold(2).splits_file
    splits.write_text(splits.read_text().replace(",test", ",train", 1))
    with pytest.raises(RunError, match=r"folds/2/splits\.csv.*is in test now"):
        train(request, run.path, resume=True, reporter=listener)
    assert "Training" not in [title for title, *_ in listener.phases]


def test_a_clip_that_became_readable_stays_left_out(
    trained: tuple[Path, RunFolder],
    recipe: MakeRecipe,
    tmp_path: Path,
    listener: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = ClipReader.read

    def fails(reader: ClipReader, row: VideoRow) -> Any:
        if row.path.name == "up_1.mp4":
            raise NoVideoError(f"{row.path}: the disk did not answer", "an answer", "try again.")
        return read(reader, row)

    request = TrainingRequest(data=trained[0], recipe=recipe("mean-linear"))
    run = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(ClipReader, "read", fails)
        metrics = train(request, run.path, cache=tmp_path / "cache")
    run.metrics_file.unlink()
    assert train(request, run.path, True, tmp_path / "cache", listener) == metrics
    assert any("1 files were left out when" in note for note in listener.notes)


def test_a_clip_that_became_unreadable_is_named(own: Changeable, listener: Any) -> None:
    own.cut()
    own.run.clips_file.unlink()  # as an older version left it: contents are not compared
    clip = own.clip("train")
    clip.write_bytes(b"")
    with pytest.raises(RunError, match=f"1 clip of the run cannot be read now: .*{clip.name}"):
        own.resume(listener)
    assert "Training" not in [title for title, *_ in listener.phases]


def test_a_run_of_an_older_version_goes_on_and_says_what_is_not_compared(
    own: Changeable, trained: tuple[Path, RunFolder], listener: Any
) -> None:
    own.cut()
    own.run.clips_file.unlink()
    assert own.resume(listener) == trained[1].metrics()
    assert any("clips that were edited since are not noticed" in note for note in listener.notes)


@pytest.mark.parametrize("change", [add, remove, relabel])
def test_a_run_of_an_older_version_refuses_other_clips_and_labels(
    own: Changeable, change: Callable[[Changeable], str]
) -> None:
    own.cut()
    own.run.clips_file.unlink()
    with pytest.raises(RunError, match=change(own)):
        own.resume()


def test_a_run_killed_before_its_first_split_is_begun_again(
    own: Changeable, trained: tuple[Path, RunFolder]
) -> None:
    own.cut()
    for path in list(own.run.path.iterdir()):
        if path != own.run.request_file:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert own.resume() == trained[1].metrics()
    assert own.run.clips_file.read_bytes() == trained[1].clips_file.read_bytes()


def test_a_finished_run_says_that_its_data_has_changed(own: Changeable, listener: Any) -> None:
    metrics = own.run.metrics()
    assert own.resume(listener) == metrics
    assert listener.notes == []
    edit(own)
    assert own.resume(listener) == metrics
    (note,) = listener.notes
    assert "WARNING: the data has changed" in note
    assert "1 clip edited (up/up_2.mp4)" in note


def test_a_finished_run_whose_data_is_gone_says_so(own: Changeable, listener: Any) -> None:
    metrics = own.run.metrics()
    shutil.rmtree(own.videos)
    assert own.resume(listener) == metrics
    (note,) = listener.notes
    assert "could not be compared" in note


def test_resume_refuses_weights_that_changed(own: Changeable) -> None:
    own.cut()
    stored = json.loads(own.run.request_file.read_text())
    assert len(stored["backbone"]) == 32
    own.run.write_json(own.run.request_file, {**stored, "backbone": "0" * 32})
    with pytest.raises(RunError, match="the backbone's weights have changed"):
        own.resume()


def test_added_test_clips_cannot_be_learnt_by_a_resumed_run(
    recipe: MakeRecipe, tmp_path: Path, filmstrip: Callable[..., Any]
) -> None:
    """On random labels, whatever is better than chance is leak."""
    rng = np.random.default_rng(0)
    for number in range(18):
        frames = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
        write_video(tmp_path / "data" / "ab"[number % 2] / f"{number}.mp4", frames, 12)
    settings = tmp_path / "quick.yaml"
    filmstrip("recipes", "mean-linear", "--save", settings)
    command = ["train", tmp_path / "data", "--recipe", settings, "--out", tmp_path / "run"]
    command += ["--set", "framing.size=32", "--epochs", "2"]
    assert filmstrip(*command).exit_code == 0
    (tmp_path / "run" / "metrics.json").unlink()
    for number in range(18, 24):
        frames = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
        write_video(tmp_path / "data" / "ab"[number % 2] / f"{number}.mp4", frames, 12)
    ended = filmstrip(*command, "--resume")
    assert ended.exit_code == 1
    assert "6 clips added" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run" / "metrics.json").exists()
