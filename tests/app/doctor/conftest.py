"""Two hundred real video files, seeded: clean ones, and a set with every fault planted in it."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from filmstrip.app.doctor.checkup import Checkup, check_up
from filmstrip.cache import Cache
from filmstrip.dataset.index import open_index
from filmstrip.dataset.synthetic import MOTIONS, render_clip
from filmstrip.video.encode import write_video
from filmstrip.video.sampling import RateSampling

SIZE, FPS = 64, 16
SAMPLING = RateSampling(frames_per_second=8)
CLASSES = tuple(MOTIONS)


def draw(label: str, number: int, size: int = SIZE) -> np.ndarray:
    """Clip ``number`` of a class (T, S, S, 3), 20 to 29 frames; the length tells nothing."""
    rng = np.random.default_rng([11, CLASSES.index(label), number])
    num_frames = int(np.random.default_rng([12, number]).integers(20, 30))
    return render_clip(label, rng, num_frames, size)


def resized(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(one).resize((width, height))) for one in frames])


@dataclass
class Planted:
    """The set, and what is planted in it: paths by kind, and the original of each copy."""

    root: Path
    files: dict[str, set[Path]] = field(default_factory=lambda: defaultdict(set))
    originals: dict[Path, Path] = field(default_factory=dict)

    def plant(self, kind: str, path: Path) -> Path:
        self.files[kind].add(path)
        return path

    def copy(self, kind: str, path: Path, original: Path) -> Path:
        self.originals[path] = original
        return self.plant(kind, path)


def clip_path(root: Path, label: str, number: int, suffix: str = ".mp4") -> Path:
    side = "test" if number % 5 == 0 else "train"
    return root / side / label / f"{number:03d}{suffix}"


def write_clip(root: Path, label: str, number: int, suffix: str = ".mp4") -> Path:
    path = clip_path(root, label, number, suffix)
    write_video(path, draw(label, number), FPS)
    return path


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("doctor") / "clean"
    for label in CLASSES:
        for number in range(20):
            write_clip(root, label, number)
    return root


@pytest.fixture(scope="session")
def planted(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    planted = Planted(tmp_path_factory.mktemp("doctor") / "planted")
    root = planted.root
    # Sound clips, of which one class has a size of its own, another a mark in its corner; one is
    # rare.
    numbers = {label: range(18) for label in CLASSES[:6]}
    numbers |= {"growing": range(4), "shrinking": range(16)}
    for label, of_label in numbers.items():
        for number in of_label:
            path = clip_path(root, label, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            frames = draw(label, number)
            if label == "up":
                frames = resized(frames, SIZE + 32, SIZE - 16)
            if label == "down":
                frames[:, :14, :14] = (250, 250, 250)
            if label in ("up", "down"):
                write_video(path, frames, FPS)
            else:
                shutil.copy(clip_path(clean, label, number), path)
    _plant_damage(planted)
    _plant_copies(planted)
    _plant_oddities(planted)
    return planted


def _plant_damage(planted: Planted) -> None:
    root = planted.root
    number = 100
    for suffix, shares in {
        ".mp4": (0.3, 0.5, 0.6, 0.9),
        ".avi": (0.4, 0.5, 0.7, 0.8),
        ".mkv": (0.6, 0.7, 0.8),
        ".webm": (0.6, 0.8),
        ".gif": (0.5, 0.8),
        ".mov": (0.5,),
    }.items():
        for share in shares:
            path = write_clip(root, "left", number := number + 1, suffix)
            whole = path.read_bytes()
            path.write_bytes(whole[: int(len(whole) * share)])
            planted.plant("broken", path)
    for suffix, share in (
        (".mp4", 0.4),
        (".mp4", 0.5),
        (".avi", 0.5),
        (".mkv", 0.6),
        (".webm", 0.5),
    ):
        path = write_clip(root, "right", number := number + 1, suffix)
        content = bytearray(path.read_bytes())
        start = int(len(content) * share)
        content[start : start + 512] = bytes(512)
        path.write_bytes(content)
        planted.plant("broken", path)
    for content in (b"", b"This is no video.\n" * 100):
        path = clip_path(root, "right", number := number + 1)
        path.write_bytes(content)
        planted.plant("broken", path)
    for _ in range(2):
        path = clip_path(root, "left", number := number + 1)
        _write_sound(path)
        planted.plant("no_video", path)


def _write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", 16000, layout="mono")
        for start in range(0, 16000, 1024):
            wave = np.sin(np.arange(start, start + 1024) / 5, dtype=np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _plant_copies(planted: Planted) -> None:
    root = planted.root
    for number in range(1, 9):
        original = clip_path(root, "clockwise", number)
        # 201 … 208 are on the side that their number gives, 205 in test.
        copy = clip_path(root, "clockwise", 200 + number)
        planted.copy("exact", Path(shutil.copy(original, copy)), original)
    for number in (7, 8):
        original = clip_path(root, "anticlockwise", number)
        copy = clip_path(root, "clockwise", 230 + number)
        planted.copy("exact", Path(shutil.copy(original, copy)), original)
        planted.plant("two_labels", copy)
    number = 300
    for label in ("left", "right", "clockwise", "anticlockwise"):
        for kind in ("mirrored", "encoded", "format", "resized", "shifted", "all"):
            place = number - 300
            original_number = 1 + place % 6
            original = clip_path(root, label, original_number)
            frames = draw(label, original_number)
            suffix, options = ".mp4", None
            if kind in ("mirrored", "all"):
                frames = frames[:, :, ::-1]
            if kind in ("encoded", "all"):
                options = {"crf": "32"}
            if kind == "format":
                suffix = ".avi"
            if kind in ("resized", "all"):
                frames = resized(frames, 112, 80)
            if kind in ("shifted", "all"):
                frames = frames[5:]
            path = clip_path(root, label, number, suffix)
            write_video(path, np.ascontiguousarray(frames), FPS, options=options)
            planted.copy("near", path, original)
            number += 1
    frames = draw("left", 7)
    path = clip_path(root, "right", 351)
    write_video(path, frames[3:], FPS)
    planted.copy("near", planted.plant("two_labels", path), clip_path(root, "left", 7))


def _plant_oddities(planted: Planted) -> None:
    root = planted.root
    for number in (401, 402, 403):
        frames = draw("right", number)
        frames[6:] = frames[6]
        path = planted.plant("frozen", clip_path(root, "right", number))
        write_video(path, frames, FPS)
    for number in (404, 406, 407):
        frames = draw("right", number)
        frames[: len(frames) * 2 // 3] //= 24
        path = planted.plant("black", clip_path(root, "right", number))
        write_video(path, frames, FPS)
    for number in (408, 409):
        path = planted.plant("too_short", clip_path(root, "left", number))
        write_video(path, draw("left", number)[8:11], FPS)
    for number in (411, 412):
        path = planted.plant("variable_frame_rate", clip_path(root, "left", number, ".mkv"))
        _write_unevenly(path, draw("left", number), seed=number)
    path = write_clip(root, "left", 413, ".avi")
    planted.plant("wrong_extension", path.rename(path.with_suffix(".mp4")))
    path = write_clip(root, "left", 414)
    planted.plant("wrong_extension", path.rename(path.with_suffix(".dat")))


def _write_unevenly(path: Path, frames: np.ndarray, seed: int) -> None:
    steps = np.random.default_rng(seed).choice([30, 60, 140], size=len(frames))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for rgb, milliseconds in zip(frames, np.cumsum(steps), strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = int(milliseconds), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def facts_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("facts")


@pytest.fixture(scope="session")
def clean_checkup(clean: Path, facts_cache: Path) -> Checkup:
    return check_up(open_index(clean), SAMPLING, Cache(facts_cache), num_workers=1)


@pytest.fixture(scope="session")
def planted_checkup(planted: Planted, facts_cache: Path) -> Checkup:
    return check_up(open_index(planted.root), SAMPLING, Cache(facts_cache), num_workers=1)
