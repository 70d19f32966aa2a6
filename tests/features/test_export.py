from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from filmstrip.dataset.pack import pack
from filmstrip.dataset.videos import list_videos
from filmstrip.errors import RunError, StorageError
from filmstrip.features.engine import Engine
from filmstrip.features.export import ExportSettings, FeatureFolder
from filmstrip.features.extract import Extractor
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.model.backbone import build_backbone
from filmstrip.model.specs import ConvNetSpec
from filmstrip.video.decode import read_clip
from filmstrip.video.encode import write_video
from filmstrip.video.sampling import RateSampling, Sampling, UniformSampling
from filmstrip.video.transforms import Framing

BACKBONE = ConvNetSpec(channels=(4, 8), grid=2, trainable=0)
FRAMING = Framing(size=32)
UNIFORM = UniformSampling(num_frames=5)


class Exporter:
    """Extracts and exports, each time as a new process would."""

    def __init__(self, store: FeatureStore, out: Path) -> None:
        self.store = store
        self.out = out

    def __call__(
        self,
        videos: Sequence[Path],
        sampling: Sampling = UNIFORM,
        views: Sequence[str] = ("plain",),
        **changes: object,
    ) -> int:
        torch.manual_seed(0)
        engine = Engine(build_backbone(BACKBONE, FRAMING.size))
        index = list_videos(videos)
        settings = {
            "root": index.root,
            "file_format": "npy",
            "sampling": sampling,
            "framing": FRAMING,
            "backbone": BACKBONE,
            "weights_origin": "random",
            "views": views,
            "num_features": engine.num_features,
            **changes,
        }
        folder = FeatureFolder(self.out, ExportSettings.model_validate(settings))
        self.out.mkdir(exist_ok=True)
        folder.start()
        reader = ClipReader(sampling, FRAMING)
        extraction = Extractor(self.store, reader, engine, views).run(index.rows)
        return folder.write(index, extraction, self.store)

    def lines(self, name: str = "index.csv") -> list[dict[str, str]]:
        path = self.out / name
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return list(csv.DictReader(file))

    def files(self) -> set[str]:
        found = (path for path in self.out.rglob("*") if path.is_file())
        return {path.relative_to(self.out).as_posix() for path in found}


@pytest.fixture
def export(tmp_path: Path) -> Exporter:
    return Exporter(FeatureStore(tmp_path / "features"), tmp_path / "out")


def test_each_clip_has_a_file_where_its_video_lies_and_a_line_in_the_index(
    export: Exporter, videos: Path
) -> None:
    assert export([videos]) == 0
    lines = export.lines()
    names = {path.relative_to(videos).as_posix() for path in videos.rglob("*.mp4")}
    assert {line["path"] for line in lines} == names
    assert export.files() == {
        *(f"{name}.npy" for name in names),
        *("features.json", "index.csv", "failed.csv"),
    }
    for line in lines:
        assert line["file"] == f"{line['path']}.npy"
        assert line["label"] == line["path"].split("/")[0]
        assert (line["num_frames"], line["num_features"], line["width"]) == ("5", "32", "48")
        found = np.load(export.out / line["file"])
        assert (found.shape, found.dtype) == ((5, 32), np.float32)
        assert np.array_equal(found, export.store.read(line["key"]).numpy())
    assert export.lines("failed.csv") == []


def test_several_views_are_files_of_their_own(export: Exporter, videos: Path) -> None:
    export([videos / "left"], views=("plain", "flip"))
    lines = export.lines()
    assert [line["view"] for line in lines] == ["plain", "flip"] * 8
    first, second = (np.load(export.out / line["file"]) for line in lines[:2])
    assert [line["file"] for line in lines[:2]] == [
        "left_0.mp4.plain.npy",
        "left_0.mp4.flip.npy",
    ]
    assert not np.allclose(first, second)


def test_names_that_differ_in_the_suffix_alone_do_not_meet(
    export: Exporter, videos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, suffix in enumerate(("mp4", "avi", "mp4.npy.mp4")):
        shutil.copy(videos / "left" / f"left_{number}.mp4", folder / f"a.{suffix}")
    export([folder])
    features = [np.load(export.out / line["file"]) for line in export.lines()]
    assert len(features) == len(list(export.out.glob("a.*.npy"))) == 3
    assert not np.allclose(features[0], features[1])
    assert not np.allclose(features[1], features[2])


@pytest.mark.parametrize(
    "name",
    [b"two words.mp4", "Überholen, «links»\n.mp4".encode(), b"caf\xe9 \xff.mp4", b"#%$'\".mp4"],
)
def test_names_of_odd_characters_are_kept(
    name: bytes, export: Exporter, videos: Path, tmp_path: Path
) -> None:
    odd = name.decode(errors="surrogateescape")
    video = tmp_path / "videos" / odd.removesuffix(".mp4") / odd
    video.parent.mkdir(parents=True)
    shutil.copy(videos / "left" / "left_0.mp4", video)
    for _ in range(2):
        export([video])
        [line] = export.lines()
        assert line["path"] == odd
        assert np.load(export.out / line["file"]).shape == (5, 32)


def test_the_times_are_those_at_which_the_sampling_looks(export: Exporter, videos: Path) -> None:
    video, rate = videos / "left" / "left_0.mp4", RateSampling(frames_per_second=6)
    export([video], rate, file_format="safetensors")
    found = load_file(export.out / "left_0.mp4.safetensors")["times_seconds"]
    np.testing.assert_allclose(found, np.arange(6) / 6)
    # 12 frames a second: every second frame is on screen at these times.
    np.testing.assert_allclose(found, read_clip(video, rate).times_seconds, atol=1e-6)


def test_the_times_of_a_clip_that_is_taken_frame_by_frame_are_not_known(
    export: Exporter, tmp_path: Path
) -> None:
    video = tmp_path / "short.mp4"
    write_video(video, np.zeros((3, 48, 48, 3), dtype=np.uint8), 12)
    export([video], file_format="safetensors")
    found = load_file(export.out / "short.mp4.safetensors")
    assert found["features"].shape == (3, 32)
    assert np.isnan(found["times_seconds"]).tolist() == [True] * 3


@pytest.mark.parametrize("sampling", [UNIFORM, RateSampling()])
def test_packed_clips_have_files_by_their_number_and_no_times(
    sampling: Sampling, export: Exporter, videos: Path, tmp_path: Path
) -> None:
    file = tmp_path / "clips.npz"
    reader = ClipReader(UNIFORM, FRAMING)
    pack(list_videos([videos / "left", videos / "up"]), file, lambda row: reader.read(row)[0], {})
    export([file], sampling, file_format="safetensors")
    assert len(export.lines()) == 16
    found = load_file(export.out / "clips.npz#15.safetensors")
    assert found["features"].shape == (5, 32)
    assert np.isnan(found["times_seconds"]).all()


def test_what_cannot_be_read_is_listed_with_the_reason(export: Exporter, own_videos: Path) -> None:
    (own_videos / "left" / "left_3.mp4").write_bytes(b"no video")
    (own_videos / "list.csv").write_text("path\nleft/left_0.mp4\nleft/left_3.mp4\ngone.mp4\n")
    export([own_videos / "list.csv"])
    assert [line["path"] for line in export.lines()] == ["left/left_0.mp4"]
    failed = {line["path"]: line["reason"] for line in export.lines("failed.csv")}
    assert set(failed) == {"gone.mp4", "left/left_3.mp4"}
    assert "no such file is there" in failed["gone.mp4"]
    assert failed["left/left_3.mp4"].startswith("not a video")
    assert "next: " in failed["left/left_3.mp4"]


def test_a_second_export_brings_the_folder_up_to_date_and_counts_what_is_left_over(
    export: Exporter, own_videos: Path
) -> None:
    export([own_videos])
    edited, removed = (own_videos / "left" / f"left_{number}.mp4" for number in (0, 1))
    before = np.load(export.out / "left" / "left_0.mp4.npy")
    shutil.copy(own_videos / "up" / "up_0.mp4", edited)
    removed.unlink()
    assert export([own_videos]) == 1
    assert len(export.lines()) == 23
    after = np.load(export.out / "left" / "left_0.mp4.npy")
    assert not np.allclose(before, after)
    assert np.array_equal(after, np.load(export.out / "up" / "up_0.mp4.npy"))


def test_a_folder_takes_no_features_of_other_settings(export: Exporter, videos: Path) -> None:
    export([videos / "left"])
    before = export.files()
    for changes in (
        {"sampling": RateSampling()},
        {"views": ("flip",)},
        {"file_format": "safetensors"},
        {"weights_origin": "file x.safetensors"},
        {"framing": Framing(size=16)},
    ):
        with pytest.raises(RunError, match=f"holds features of another {next(iter(changes))}\n"):
            export([videos / "left"], **changes)
    with pytest.raises(RunError, match="another root"):
        export([videos / "right"])
    assert export.files() == before


@pytest.mark.parametrize("content", [b"{}", b"\xff", b"[", b'{"root": 3}'])
def test_a_damaged_settings_file_is_told(content: bytes, export: Exporter, videos: Path) -> None:
    export.out.mkdir()
    (export.out / "features.json").write_bytes(content)
    with pytest.raises(RunError, match=r"features\.json: cannot be read"):
        export([videos / "left"])


def test_a_folder_that_holds_something_else_is_left_alone(export: Exporter, videos: Path) -> None:
    export.out.mkdir()
    (export.out / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match=r"holds 'thesis\.tex' and is no folder of features"):
        export([videos])
    assert export.files() == {"thesis.tex"}


def test_after_a_full_disk_the_next_export_completes_the_folder(
    export: Exporter,
    videos: Path,
    largest_file: Callable[[int], AbstractContextManager[None]],
) -> None:
    export([videos / "left"])
    whole = {name: (export.out / name).read_bytes() for name in export.files()}
    shutil.rmtree(export.out)
    with largest_file(767), pytest.raises(StorageError):
        export([videos / "left"])
    assert "index.csv" not in export.files()
    assert not list(export.out.rglob("*.part*"))
    export([videos / "left"])
    assert {name: (export.out / name).read_bytes() for name in export.files()} == whole
