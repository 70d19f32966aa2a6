from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from filmstrip.errors import StorageError, VideoError
from filmstrip.video.encode import write_video

SUFFIXES = [".mp4", ".mov", ".mkv", ".avi", ".webm", ".gif"]
DecodeAll = Callable[[Path], list[np.ndarray]]
Picture = Callable[..., np.ndarray]


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".MP4"])
def test_every_frame_comes_back_in_order_with_its_colours(
    suffix: str,
    tmp_path: Path,
    picture: Picture,
    number_of: Callable[[np.ndarray], int],
    decode_all: DecodeAll,
) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path, (picture(number) for number in range(30)), 25)
    frames = decode_all(path)
    assert [number_of(frame) for frame in frames] == list(range(30))
    difference = np.abs(frames[7].astype(int) - picture(7).astype(int))
    assert np.median(difference) <= (40 if suffix == ".gif" else 8)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "found"),
    [
        ("a.mp4", "libx265", None, "hevc"),
        ("a.mp4", "libsvtav1", None, "av1"),
        ("a.webm", "libvpx", None, "vp8"),
        ("a.avi", "mjpeg", "yuvj420p", "mjpeg"),
        ("a.mkv", "ffv1", "yuv444p", "ffv1"),
    ],
)
def test_a_codec_may_be_chosen(
    name: str, codec: str, pixel_format: str | None, found: str, tmp_path: Path, picture: Picture
) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else None
    write_video(tmp_path / name, [picture(1)] * 3, 25, codec, pixel_format, options)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == found


def test_options_reach_the_encoder(tmp_path: Path, picture: Picture) -> None:
    for quality in ("0", "50"):
        frames = (picture(number) for number in range(20))
        write_video(tmp_path / f"{quality}.mp4", frames, 25, options={"crf": quality})
    assert (tmp_path / "50.mp4").stat().st_size < (tmp_path / "0.mp4").stat().st_size


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".webm"])
def test_an_odd_size_is_made_even_by_repeating_the_last_row_and_column(
    suffix: str, tmp_path: Path, decode_all: DecodeAll
) -> None:
    frame = np.zeros((47, 63, 3), dtype=np.uint8)
    frame[:, 40:], frame[30:] = 250, 120
    path = tmp_path / f"odd{suffix}"
    write_video(path, [frame] * 3, 25)
    shown = decode_all(path)[0].astype(int)
    assert shown.shape == (48, 64, 3)
    assert np.abs(shown[47] - shown[45]).max() <= 12
    assert np.abs(shown[:, 63] - shown[:, 61]).max() <= 12


@pytest.mark.parametrize(("name", "pixel_format"), [("a.mp4", "yuv444p"), ("a.gif", None)])
def test_an_odd_size_is_kept_where_the_format_can_hold_it(
    name: str, pixel_format: str | None, tmp_path: Path, picture: Picture, decode_all: DecodeAll
) -> None:
    write_video(tmp_path / name, [picture(3, 47, 63)], 25, pixel_format=pixel_format)
    assert decode_all(tmp_path / name)[0].shape == (47, 63, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
@pytest.mark.parametrize(
    ("frames_per_second", "stored"),
    [
        (25, Fraction(25)),
        (29.97, Fraction(2997, 100)),
        (30000 / 1001, Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
        (0.5, Fraction(1, 2)),
        (240, Fraction(240)),
    ],
)
def test_the_frame_rate_is_stored_exactly(
    suffix: str, frames_per_second: float, stored: Fraction, tmp_path: Path, picture: Picture
) -> None:
    path = tmp_path / f"rate{suffix}"
    write_video(path, (picture(number) for number in range(10)), frames_per_second)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [float(p.pts * p.time_base) for p in container.demux(stream) if p.size]
    assert stream.average_rate == stored
    assert sorted(times) == pytest.approx([number / stored for number in range(10)], abs=1e-4)


def test_the_colour_space_is_stated(tmp_path: Path, picture: Picture) -> None:
    write_video(tmp_path / "a.mp4", [picture(0)], 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == 6  # ITU-R BT.601


def test_frames_are_encoded_as_they_come_and_then_let_go(tmp_path: Path) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal most
        for number in range(200):
            frame = np.full((48, 64, 3), number, dtype=np.uint8)
            alive.append(weakref.ref(frame))
            most = max(most, sum(reference() is not None for reference in alive))
            yield frame

    write_video(tmp_path / "long.avi", frames(), 25)
    assert most <= 5


def test_missing_folders_are_made(tmp_path: Path, picture: Picture) -> None:
    write_video(tmp_path / "some" / "where" / "a.mp4", [picture(0)], 25)
    assert (tmp_path / "some" / "where" / "a.mp4").stat().st_size > 0


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path: Path, picture: Picture) -> None:
    path = tmp_path / "http:été %41 'a'.mp4"
    write_video(path, [picture(0)], 25)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_midway_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, picture: Picture
) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield picture(0)
        raise RuntimeError("the camera fell over")

    path = tmp_path / "a.mp4"
    path.write_bytes(b"what was there before")
    with pytest.raises(RuntimeError, match="fell over"):
        write_video(path, frames(), 25)
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_no_frames_is_an_error_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="not one frame") as caught:
        write_video(tmp_path / "a.mp4", iter([]), 25)
    assert "a.mp4" in caught.value.given
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_named_with_the_nearest_known(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"'\.mp5'") as caught:
        write_video(tmp_path / "a.mp5", [], 25)
    assert "'.mp4'" in caught.value.remedy


@pytest.mark.parametrize("codec", ["libx246", "aac"])
def test_a_codec_that_encodes_no_video_is_refused(
    codec: str, tmp_path: Path, picture: Picture
) -> None:
    with pytest.raises(VideoError, match=f"codec='{codec}'"):
        write_video(tmp_path / "a.mp4", [picture(0)], 25, codec=codec)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "options"),
    [
        ("a.webm", "libx264", None, None),
        ("a.mp4", None, "rgb24", None),
        ("a.mp4", None, None, {"crf": "high"}),
    ],
)
def test_what_the_encoder_or_container_refuses_is_told(
    name: str,
    codec: str | None,
    pixel_format: str | None,
    options: dict[str, str] | None,
    tmp_path: Path,
    picture: Picture,
) -> None:
    with pytest.raises(VideoError, match="was refused"):
        write_video(tmp_path / name, [picture(0)], 25, codec, pixel_format, options)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_pixel_format_is_named(tmp_path: Path, picture: Picture) -> None:
    with pytest.raises(VideoError, match="pixel_format='yuv420q'"):
        write_video(tmp_path / "a.mp4", [picture(0)], 25, pixel_format="yuv420q")


@pytest.mark.parametrize("frames_per_second", [0, -25, float("nan"), float("inf"), 1e-9])
def test_a_frame_rate_without_sense_is_refused(
    frames_per_second: float, tmp_path: Path, picture: Picture
) -> None:
    with pytest.raises(VideoError, match="frames_per_second="):
        write_video(tmp_path / "a.mp4", [picture(0)], frames_per_second)


@pytest.mark.parametrize(
    "second",
    [
        np.zeros((48, 64), dtype=np.uint8),
        np.zeros((48, 64, 3), dtype=np.float32),
        np.zeros((48, 64, 4), dtype=np.uint8),
        np.zeros((50, 64, 3), dtype=np.uint8),
    ],
)
def test_a_frame_of_another_shape_or_type_is_named(
    second: np.ndarray, tmp_path: Path, picture: Picture
) -> None:
    with pytest.raises(VideoError, match="frame 1 has shape"):
        write_video(tmp_path / "a.mp4", [picture(0), second], 25)
    assert list(tmp_path.iterdir()) == []


def test_a_frame_may_be_a_view_in_any_memory_order(
    tmp_path: Path, picture: Picture, decode_all: DecodeAll
) -> None:
    view = picture(5)[:, ::-1]
    for name, frame in (("view.mkv", view), ("copy.mkv", view.copy())):
        write_video(tmp_path / name, [frame], 25)
    assert_array_equal(decode_all(tmp_path / "view.mkv"), decode_all(tmp_path / "copy.mkv"))


def test_a_folder_cannot_be_written_as_a_file(tmp_path: Path, picture: Picture) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(VideoError, match="is a folder"):
        write_video(tmp_path / "a.mp4", [picture(0)], 25)
    with pytest.raises(StorageError):
        write_video(Path(__file__) / "a.mp4", [picture(0)], 25)


WRITE_WITH_LITTLE_ROOM = """
import resource, sys
import numpy as np
from pathlib import Path
from filmstrip.errors import StorageError
from filmstrip.video.encode import write_video
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
try:
    noise = (rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(100))
    write_video(Path(sys.argv[1]), noise, 25)
except StorageError as error:
    print(error.given)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size, as Unix has")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_without_room_is_a_storage_error_and_no_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", WRITE_WITH_LITTLE_ROOM, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(path) in done.stdout
    assert "could not be written" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


WRITE_WITHOUT_PERMISSION = """
import sys
import numpy as np
from pathlib import Path
from filmstrip.errors import StorageError
from filmstrip.video.encode import write_video
become_nobody()
try:
    write_video(Path(sys.argv[1]), [np.zeros((48, 64, 3), dtype=np.uint8)], 25)
except StorageError as error:
    print(error.given)
"""


def test_a_folder_that_may_not_be_written_is_a_storage_error(
    open_folder: Path, run_as_nobody: Callable[[str, Path], str]
) -> None:
    locked = open_folder / "locked"
    locked.mkdir(mode=0o555)
    said = run_as_nobody(WRITE_WITHOUT_PERMISSION, locked / "a.mp4")
    assert said == f"{locked / 'a.mp4'}: could not be written (Permission denied)\n"
