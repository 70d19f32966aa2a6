"""One file decoded whole: what is read off it, and what its faults are called."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from filmstrip.dataset.doctor.facts import VideoFacts
from filmstrip.dataset.doctor.inspection import inspect_video
from filmstrip.dataset.synthetic import render_clip
from filmstrip.video.encode import write_video
from filmstrip.video.probe import probe

FPS = 16


def clip(num_frames: int = 24, size: int = 64) -> np.ndarray:
    return render_clip("left", np.random.default_rng(3), num_frames, size)


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    def write(suffix: str = ".mp4", frames: np.ndarray | None = None) -> Path:
        path = tmp_path / f"clip{suffix}"
        write_video(path, clip() if frames is None else frames, FPS)
        return path

    return write


def cut(path: Path, share: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi", ".mkv", ".webm", ".gif"])
def test_a_sound_file_has_no_fault_and_the_facts_of_its_probe(
    suffix: str, video: Callable[..., Path]
) -> None:
    facts, info = inspect_video(video(suffix)), probe(video(suffix))
    assert facts.fault is None
    assert facts.complaint is None
    assert (facts.width, facts.height, facts.num_frames) == (64, 64, 24)
    assert facts.duration_seconds == info.duration_seconds
    assert facts.codec == info.codec
    assert facts.intervals is not None
    assert facts.intervals.num_irregular == 0
    assert (facts.black, facts.frozen) == ((), ())


def test_facts_outlive_being_written_as_json(video: Callable[..., Path]) -> None:
    facts = inspect_video(video())
    assert VideoFacts.model_validate_json(facts.model_dump_json()) == facts


def test_thumbnails_are_the_mean_of_the_pixels_below_them(video: Callable[..., Path]) -> None:
    frames = np.zeros((8, 64, 64, 3), dtype=np.uint8)
    frames[:, :32] = 200
    thumbnails = inspect_video(video(frames=frames)).thumbnail_array()
    assert thumbnails.shape == (8, 16, 16)  # sixteen a second of half a second
    assert np.abs(thumbnails[:, :8].astype(int) - 200).max() <= 4
    assert thumbnails[:, 8:].max() <= 4


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".gif"])
def test_a_file_that_was_cut_between_packets_is_truncated_where_it_ends(
    suffix: str, video: Callable[..., Path]
) -> None:
    path = cut(video(suffix), 0.75)
    with av.open(str(path)) as container:
        num_left = sum(1 for _ in container.decode(video=0))
    fault = inspect_video(path).fault
    assert fault is not None
    assert fault.kind == "truncated"
    assert fault.num_usable_frames == num_left
    assert fault.at_seconds == pytest.approx(num_left / FPS, abs=0.07)


def test_a_transport_stream_that_was_cut_within_a_packet_is_truncated(
    video: Callable[..., Path], tmp_path: Path
) -> None:
    stream = tmp_path / "clip.ts"
    with av.open(str(video())) as old, av.open(str(stream), "w") as new:
        target = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = target
                new.mux(packet)
    assert inspect_video(stream).fault is None
    content = stream.read_bytes()
    stream.write_bytes(content[: len(content) // 188 * 188 - 100])
    fault = inspect_video(stream).fault
    assert fault is not None
    assert fault.kind in ("truncated", "corrupt")


def test_sound_that_goes_on_after_the_picture_is_no_truncation(tmp_path: Path) -> None:
    path = tmp_path / "long_sound.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", FPS)
        picture.height = picture.width = 64
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", 16000, layout="mono")
        for rgb in clip():
            container.mux(picture.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        for start in range(0, 4 * 16000, 1024):
            wave = np.zeros((1, 1024), dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            container.mux(sound.encode(frame))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    claimed = probe(path).claimed_duration_seconds
    assert claimed is not None
    assert claimed > 3.5
    assert inspect_video(path).fault is None


def test_a_damaged_file_keeps_what_was_seen_before_the_fault(video: Callable[..., Path]) -> None:
    facts = inspect_video(cut(video(".mkv"), 0.75))
    assert 0 < facts.num_frames < 24
    assert facts.preview.startswith(b"\xff\xd8")


def test_bytes_overwritten_in_the_middle_are_corruption(video: Callable[..., Path]) -> None:
    path = video(".avi")
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 512] = bytes(512)
    path.write_bytes(content)
    fault = inspect_video(path).fault
    assert fault is not None
    assert fault.kind == "corrupt"
    assert fault.num_usable_frames > 0


@pytest.mark.parametrize(
    ("content", "kind"), [(b"", "no_video"), (b"no video at all\n" * 50, "corrupt")]
)
def test_what_is_no_video_is_told_without_its_name(
    content: bytes, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    fault = inspect_video(path).fault
    assert fault is not None
    assert fault.kind == kind
    assert "clip.mp4" not in fault.words


def test_a_missing_file_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    fault = inspect_video(tmp_path / "gone.mp4").fault
    assert fault is not None
    assert "no such file" in fault.words


def test_each_frame_gives_a_sign_of_life(video: Callable[..., Path]) -> None:
    beats: list[None] = []
    inspect_video(video(), lambda: beats.append(None))
    assert len(beats) == 24


def test_the_decoders_log_level_is_left_as_it_was(video: Callable[..., Path]) -> None:
    before = av.logging.get_level()
    inspect_video(video())
    assert av.logging.get_level() == before
