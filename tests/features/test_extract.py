from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from filmstrip.dataset.index import open_index
from filmstrip.dataset.pack import pack
from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import StorageError
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.features.extract import Extractor
from filmstrip.features.extraction import Extraction
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.model.backbone import build_backbone
from filmstrip.model.specs import ConvNetSpec
from filmstrip.video.encode import write_video
from filmstrip.video.sampling import RateSampling, UniformSampling
from filmstrip.video.transforms import Framing

READER = ClipReader(UniformSampling(num_frames=5), Framing(size=32))

KILLED_AFTER = 9
EXTRACT_AND_BE_KILLED = f"""
import os, signal, sys, torch
from pathlib import Path
from filmstrip.dataset.index import open_index
from filmstrip.features.extract import Extractor
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

class DyingStore(FeatureStore):
    num_left = {KILLED_AFTER}

    def write(self, *entry):
        if not self.num_left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.num_left -= 1
        super().write(*entry)

reader = ClipReader(UniformSampling(num_frames=5), Framing(size=32))
store = DyingStore(Path(sys.argv[2]))
Extractor(store, reader, engine=None).run(open_index(Path(sys.argv[1])).rows)
"""


def engine(seed: int = 0, grid: int = 2, batch_size: int = 32) -> Engine:
    torch.manual_seed(seed)
    backbone = build_backbone(ConvNetSpec(channels=(4, 8), grid=grid, trainable=0), 32)
    return Engine(backbone, batch_size=batch_size)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


@pytest.fixture(scope="session")
def rows(videos: Path) -> Sequence[VideoRow]:
    return open_index(videos).rows


def entries(store: FeatureStore, extraction: Extraction, rows: Sequence[VideoRow]) -> list:
    # Copies: what the store reads may be mapped, and a test writes over a file in its place.
    return [store.read(extraction[row].keys[0]).clone() for row in rows]


def test_clips_together_in_a_pass_have_the_features_that_each_has_alone(
    store: FeatureStore, rows: Sequence[VideoRow]
) -> None:
    extraction = Extractor(store, READER, engine(batch_size=12)).run(rows)
    assert (extraction.num_computed, extraction.num_hits) == (len(rows), 0)
    alone = engine()
    for row in rows:
        expected = alone.embed(READER.read(row)[0])
        found = store.read(extraction[row].keys[0])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert extraction[row].facts == READER.read(row)[1]


def test_clips_of_different_lengths_keep_their_own_frames(
    store: FeatureStore, rows: Sequence[VideoRow], tmp_path: Path
) -> None:
    short = tmp_path / "short.mp4"
    write_video(short, READER.read(rows[3])[0][:2], 12)
    mixed = [rows[0], VideoRow(short, "left"), rows[1]]
    extraction = Extractor(store, READER, engine()).run(mixed)
    assert [len(features) for features in entries(store, extraction, mixed)] == [5, 2, 5]
    for row, found in zip(mixed, entries(store, extraction, mixed), strict=True):
        expected = engine().embed(READER.read(row)[0])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_second_extraction_decodes_nothing_and_gives_the_same(
    store: FeatureStore, rows: Sequence[VideoRow]
) -> None:
    first = Extractor(store, READER, engine()).run(rows)
    second = Extractor(store, READER, engine()).run(rows)
    assert (second.num_computed, second.num_hits) == (0, len(rows))
    assert second.clips == first.clips


def test_a_renamed_file_is_found_and_an_edited_one_is_computed_again(
    store: FeatureStore, rows: Sequence[VideoRow], tmp_path: Path
) -> None:
    Extractor(store, READER, engine()).run(rows)
    renamed = Path(shutil.copy(rows[0].path, tmp_path / "renamed.mp4"))
    edited = Path(shutil.copy(rows[1].path, tmp_path / rows[1].path.name))
    with edited.open("ab") as file:
        file.write(b"\0" * 8)
    again = Extractor(store, READER, engine()).run(
        [VideoRow(renamed, "of another class", split="test"), VideoRow(edited, "left")]
    )
    assert (again.num_hits, again.num_computed) == (1, 1)


@pytest.mark.parametrize(
    "change",
    ["sampling", "sampling kind", "framing", "fit", "weights", "grid", "view", "frames themselves"],
)
def test_another_setting_is_another_entry(
    store: FeatureStore, rows: Sequence[VideoRow], change: str
) -> None:
    Extractor(store, READER, engine()).run(rows[:2])
    size, sampling = READER.framing, READER.sampling
    other = {
        "sampling": (ClipReader(UniformSampling(num_frames=4), size), engine(), ("plain",)),
        "sampling kind": (ClipReader(RateSampling(), size), engine(), ("plain",)),
        "framing": (ClipReader(sampling, Framing(size=16)), engine(), ("plain",)),
        "fit": (ClipReader(sampling, Framing(size=32, fit="crop")), engine(), ("plain",)),
        "weights": (READER, engine(seed=1), ("plain",)),
        "grid": (READER, engine(grid=1), ("plain",)),
        "view": (READER, engine(), ("flip",)),
        "frames themselves": (READER, None, ("plain",)),
    }[change]
    reader, backbone, views = other
    extraction = Extractor(store, reader, backbone, views).run(rows[:2])
    assert (extraction.num_hits, extraction.num_computed) == (0, 2)


def test_the_flipped_view_has_the_features_of_mirrored_frames(
    store: FeatureStore, rows: Sequence[VideoRow]
) -> None:
    extraction = Extractor(store, READER, engine(), ("plain", "flip")).run(rows[:3])
    for row in rows[:3]:
        plain, flipped = (store.read(key) for key in extraction[row].keys)
        frames = READER.read(row)[0]
        mirrored = np.ascontiguousarray(frames[:, :, ::-1])
        torch.testing.assert_close(flipped, engine().embed(mirrored), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(plain, flipped)


def test_a_view_that_is_missing_makes_the_clip_be_read_again(
    store: FeatureStore, rows: Sequence[VideoRow]
) -> None:
    Extractor(store, READER, engine()).run(rows[:2])
    both = Extractor(store, READER, engine(), ("plain", "flip"))
    assert both.run(rows[:2]).num_computed == 2
    assert both.run(rows[:2]).num_hits == 2


def test_without_a_backbone_the_frames_themselves_are_kept(
    store: FeatureStore, rows: Sequence[VideoRow]
) -> None:
    extraction = Extractor(store, READER, engine=None).run(rows[:3])
    for row in rows[:3]:
        kept = store.read(extraction[row].keys[0])
        assert kept.dtype == torch.uint8
        assert np.array_equal(kept.numpy(), READER.read(row)[0])


def test_files_that_cannot_be_read_are_left_out_with_reasons_and_the_rest_goes_on(
    store: FeatureStore, own_videos: Path
) -> None:
    rows = open_index(own_videos).rows
    vanished, empty, cut, noise, folder = (row.path for row in rows[2:12:2])
    whole = cut.read_bytes()
    vanished.unlink()
    empty.write_bytes(b"")
    cut.write_bytes(whole[: len(whole) // 2])
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    folder.unlink()
    folder.mkdir()
    told: list[str] = []
    extraction = Extractor(store, READER, engine()).run(rows, told.append)
    reasons = {file.path: file.reason for file in extraction.skipped}
    assert list(reasons) == [vanished, empty, cut, noise, folder]
    assert all(str(path) in reason and "next:" in reason for path, reason in reasons.items())
    assert "no such file" in reasons[vanished]
    assert "empty" in reasons[empty]
    assert (extraction.num_computed, len(extraction.clips)) == (len(rows) - 5, len(rows) - 5)
    assert {row.path for row in rows if row not in extraction} == set(reasons)
    assert len(told) == len(rows)
    assert told[-1].startswith("0 cached, 5 unreadable, ")
    assert told[-1].endswith(" frames/s")


def test_a_damaged_entry_is_computed_again(store: FeatureStore, rows: Sequence[VideoRow]) -> None:
    extraction = Extractor(store, READER, engine()).run(rows[:4])
    before = entries(store, extraction, rows[:4])
    damaged = sorted(store.folder.rglob("*.safetensors"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-5])
    again = Extractor(store, READER, engine()).run(rows[:4])
    assert (again.num_computed, again.num_hits) == (1, 3)
    for found, expected in zip(entries(store, again, rows[:4]), before, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_extraction_that_was_killed_is_completed_by_the_next(
    store: FeatureStore, videos: Path, rows: Sequence[VideoRow]
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", EXTRACT_AND_BE_KILLED, str(videos), str(store.folder)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    extraction = Extractor(store, READER, engine=None).run(rows)
    assert (extraction.num_hits, extraction.num_computed) == (
        KILLED_AFTER,
        len(rows) - KILLED_AFTER,
    )
    for row in rows:
        assert np.array_equal(store.read(extraction[row].keys[0]).numpy(), READER.read(row)[0])


def test_a_full_disk_is_a_storage_error_and_what_was_finished_is_kept(
    store: FeatureStore,
    rows: Sequence[VideoRow],
    largest_file: Callable[[int], AbstractContextManager[None]],
) -> None:
    Extractor(store, READER, engine()).run(rows[:5])
    with largest_file(300), pytest.raises(StorageError):
        Extractor(store, READER, engine()).run(rows)
    assert Extractor(store, READER, engine()).run(rows).num_hits == 5


def test_packed_clips_have_the_features_of_their_videos(
    store: FeatureStore, videos: Path, rows: Sequence[VideoRow], tmp_path: Path
) -> None:
    file = tmp_path / "clips.npz"
    pack(open_index(videos), file, lambda row: READER.read(row)[0], {})
    packed = open_index(file).rows
    from_videos = Extractor(store, READER, engine()).run(rows)
    from_packed = Extractor(store, READER, engine()).run(packed)
    assert from_packed.num_computed == len(rows)
    pairs = zip(entries(store, from_videos, rows), entries(store, from_packed, packed), strict=True)
    for video, clip in pairs:
        torch.testing.assert_close(clip, video, rtol=1e-4, atol=1e-4)


def test_rows_may_come_from_a_generator_and_may_be_none_at_all(
    store: FeatureStore, rows: Sequence[VideoRow]
) -> None:
    assert Extractor(store, READER, engine()).run(iter(rows[:2])).num_computed == 2
    assert Extractor(store, READER, engine()).run([]).clips == {}


def test_the_same_content_twice_in_one_folder_is_computed_once(
    store: FeatureStore, own_videos: Path
) -> None:
    rows = open_index(own_videos).rows[:4]
    shutil.copy(rows[0].path, rows[3].path)
    extraction = Extractor(store, READER, engine()).run(rows)
    assert (extraction.num_computed, extraction.num_hits) == (3, 1)
    assert extraction[rows[0]].keys == extraction[rows[3]].keys


def test_no_claim_outlives_an_extraction_whether_it_ends_well_or_not(
    store: FeatureStore, own_videos: Path
) -> None:
    rows = open_index(own_videos).rows[:6]
    rows[1].path.write_bytes(b"noise")

    class FailingStore(FeatureStore):
        def write(self, *entry: object) -> None:
            raise StorageError("the disk", "room", "make some")

    with pytest.raises(StorageError):
        Extractor(FailingStore(store.folder), READER, engine()).run(rows)
    assert list(store.claims.glob("*")) == []
    Extractor(store, READER, engine()).run(rows)
    assert list(store.claims.glob("*")) == []


def test_a_named_engine_replaces_features_of_another_precision(
    store: FeatureStore, rows: Sequence[VideoRow], tmp_path: Path
) -> None:
    def run(name: str) -> Extraction:
        torch.manual_seed(0)
        backbone = build_backbone(ConvNetSpec(channels=(4, 8), trainable=0), 32)
        named = Engine(backbone, torch.device("cpu"), choice=EngineChoice(name, tmp_path))
        return Extractor(store, READER, named).run(rows[:3])

    plain = run("eager-fp32")
    assert plain.num_computed == 3
    assert run("auto").num_hits == 3
    for row in rows[:3]:  # as a machine that computes in bf16 would have left them
        (key,) = plain[row].keys
        store.write(key, store.read(key), plain[row].facts, "bf16")
    assert run("auto").num_hits == 3
    assert run("eager-fp32").num_computed == 3
    assert {store.entry(plain[row].keys[0]).precision for row in rows[:3]} == {"fp32"}


EXTRACT = """
import sys
from pathlib import Path
from filmstrip.dataset.rows import VideoRow
from filmstrip.features.extract import Extractor
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

reader = ClipReader(UniformSampling(num_frames=5), Framing(size=32))
extractor = Extractor(FeatureStore(Path(sys.argv[1])), reader, None)
extractor.num_decoders = 1
small = [VideoRow(Path(path), "") for path in sys.argv[3:]]
extractor.run(small[:1])
limit_memory(60)
done = extractor.run([VideoRow(Path(sys.argv[2]), ""), *small])
print(len(done.clips), [file.path.name for file in done.unavailable], len(done.skipped))
print(done.skipped[0].reason)
"""


def test_extractor_goes_on_after_a_clip_that_memory_does_not_hold(
    videos: Path,
    large_video: Path,
    tmp_path: Path,
    in_little_memory: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    small = sorted((videos / "left").iterdir())[:3]
    ended = in_little_memory(EXTRACT, tmp_path / "store", large_video, *small)
    lines = ended.stdout.splitlines()
    assert lines[:1] == ["3 ['large.mp4'] 1"], ended.stderr
    assert "not enough memory" in lines[1]


def test_extractor_does_not_call_a_failing_disk_a_missing_file(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = sorted((videos / "left").iterdir())[0]
    open_path = Path.open

    def opened(path: Path, *arguments: Any, **settings: Any) -> Any:
        if path == failing:
            raise OSError(errno.EIO, "Input/output error")
        return open_path(path, *arguments, **settings)

    monkeypatch.setattr(Path, "open", opened)
    done = Extractor(FeatureStore(tmp_path), READER, None).run([VideoRow(failing, "")])
    assert len(done.unavailable) == 1
    assert "Input/output error" in done.skipped[0].reason
