from __future__ import annotations

import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from filmstrip.errors import FilmstripError, NoVideoError, VideoError
from filmstrip.video.decode import iterate_frames, probe, read_clip
from filmstrip.video.sampling import UniformSampling

Encoder = Any


def refusal(path: Path) -> FilmstripError:
    """The error of probing, which must be that of reading too."""
    with pytest.raises(VideoError) as probed:
        probe(path)
    with pytest.raises(VideoError) as read:
        read_clip(path, UniformSampling())
    assert str(probed.value) == str(read.value)
    assert str(path) in probed.value.given
    assert probed.value.expected
    assert probed.value.remedy
    return probed.value


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    error = refusal(tmp_path / "gone.mp4")
    assert isinstance(error, NoVideoError)
    assert "no such file" in error.given
    assert "spelling" in error.remedy


def test_a_file_that_vanishes_between_probing_and_reading_is_named(
    tmp_path: Path, encoder: type[Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    from filmstrip.video import decode

    path = encoder().write(tmp_path / "a.mp4", 5)
    really_probe = decode.probe_timeline

    def probe_and_delete(path: Path, **settings: bool) -> Any:
        found = really_probe(path, **settings)
        path.unlink()
        return found

    monkeypatch.setattr(decode, "probe_timeline", probe_and_delete)
    with pytest.raises(NoVideoError, match=r"a\.mp4: there is no such file"):
        read_clip(path, UniformSampling())


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path).given


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("needs named pipes")
    import os

    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a regular file" in refusal(tmp_path / "pipe.mp4").given


PROBE_WITHOUT_PERMISSION = """
import sys
from pathlib import Path
from filmstrip.errors import VideoError
from filmstrip.video.decode import probe
become_nobody()
try:
    probe(Path(sys.argv[1]))
except VideoError as error:
    print(error.given)
"""


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_file_that_may_not_be_read_is_named(
    closed: str,
    open_folder: Path,
    encoder: type[Encoder],
    run_as_nobody: Callable[[str, Path], str],
) -> None:
    folder = open_folder / "folder"
    folder.mkdir()
    path = encoder().write(folder / "a.mp4", 2)
    target = {"file": path, "folder": folder}[closed]
    mode = target.stat().st_mode
    target.chmod(0)
    try:
        said = run_as_nobody(PROBE_WITHOUT_PERMISSION, path)
    finally:
        target.chmod(mode)
    assert said == f"{path}: could not be read (Permission denied)\n"


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    error = refusal(tmp_path / "a.mp4")
    assert isinstance(error, NoVideoError)
    assert "0 bytes" in error.given


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.txt", "a"])
@pytest.mark.parametrize(
    "content",
    [
        b"this is a text, not a video\n" * 200,
        bytes(10_000),
        np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8).tobytes(),
    ],
    ids=["text", "zeros", "noise"],
)
def test_what_is_no_video_is_refused_whatever_its_name(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert isinstance(refusal(tmp_path / name), NoVideoError)


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {}\n",
    ],
    ids=["hls", "concat"],
)
def test_a_playlist_that_points_at_another_file_is_not_followed(
    playlist: str, tmp_path: Path, encoder: type[Encoder]
) -> None:
    secret = encoder(container_format="mpegts").write(tmp_path / "secret.ts", 25)
    (tmp_path / "a.mp4").write_text(playlist.format(secret))
    assert isinstance(refusal(tmp_path / "a.mp4"), NoVideoError)


def write_sound(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 8000), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_file_of_sound_only_is_said_to_be_that(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16_000))
    for path in (tmp_path / "a.wav", write_sound(tmp_path / "a.mp4", "aac")):
        error = refusal(path)
        assert isinstance(error, NoVideoError)
        assert "only sound" in error.given


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "sound.mp3", "libmp3lame").read_bytes()
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = 64, 48, "yuvj420p"
    codec.time_base = Fraction(1, 25)
    picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    jpeg = bytes(codec.encode(picture.reformat(format="yuvj420p"))[0])
    # An ID3v2.3 tag with one APIC frame: encoding, MIME type, kind 3 (front cover), no caption.
    body = b"\0image/jpeg\0\x03\0" + jpeg
    apic = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes(len(apic) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\x03\0\0" + size + apic + sound)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1  # the cover is there, as a stream
    assert "only sound" in refusal(path).given


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [(20_000, 48, "20000×48 pixels"), (16_000, 16_000, "absurd"), (65_000, 50_000, "absurd")],
)
def test_a_header_that_asks_for_absurd_memory_is_refused(
    width: int, height: int, said: str, tmp_path: Path, encoder: type[Encoder]
) -> None:
    path = encoder("rawvideo").write(tmp_path / "a.avi", 3)
    content = bytearray(path.read_bytes())
    size = content.index(b"strf") + 8 + 4  # biWidth, biHeight
    assert struct.unpack_from("<ii", content, size) == (64, 48)
    struct.pack_into("<ii", content, size, width, height)
    path.write_bytes(content)
    assert f"asks for frames of {said}" in refusal(path).given


def test_frames_that_ask_for_absurd_memory_are_refused(
    tmp_path: Path, encoder: type[Encoder]
) -> None:
    jpegs = encoder("mjpeg", "yuvj420p").write(tmp_path / "a.avi", 3)
    start_of_frame = b"\xff\xc0\x00\x11\x08"
    small, large = struct.pack(">HH", 48, 64), struct.pack(">HH", 65_280, 65_280)
    content = jpegs.read_bytes()
    assert content.count(start_of_frame + small) == 3
    jpegs.write_bytes(content.replace(start_of_frame + small, start_of_frame + large))
    refusal(jpegs)
    gif = encoder("gif", "rgb8").write(tmp_path / "a.gif", 3)
    content = gif.read_bytes()
    gif.write_bytes(content[:6] + struct.pack("<HH", 65_535, 65_535) + content[10:])
    assert "absurd" in refusal(gif).given


@pytest.mark.parametrize(
    "name", ["http:été %41 'a'.mp4", "-i.mp4", "a b\nc.mp4", "\udcff\udcfe.mp4", "video"]
)
def test_any_file_name_is_read(name: str, tmp_path: Path, encoder: type[Encoder]) -> None:
    path = encoder().write(tmp_path / "plain.mp4", 5)
    renamed = tmp_path / name
    try:
        path.rename(renamed)
    except (OSError, UnicodeError):
        pytest.skip("this file system does not allow the name")
    assert probe(renamed).num_frames == 5


def test_a_relative_path_that_looks_like_an_address_is_a_file(
    tmp_path: Path, encoder: type[Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder().write(tmp_path / "plain.mp4", 5).rename(tmp_path / "http:plain.mp4")
    monkeypatch.chdir(tmp_path)
    assert probe(Path("http:plain.mp4")).num_frames == 5


PROBE_EVERYTHING = """
import sys
from pathlib import Path
from filmstrip.errors import VideoError
from filmstrip.video.decode import iterate_frames
for path in map(Path, sys.argv[1:]):
    try:
        print(sum(1 for _ in iterate_frames(path)))
    except VideoError as error:
        print(type(error).__name__)
"""


def test_nothing_is_written_to_stderr_whatever_the_file_holds(
    tmp_path: Path, encoder: type[Encoder]
) -> None:
    whole = encoder().write(tmp_path / "whole.mp4", 50)
    flipped = bytearray(whole.read_bytes())
    flipped[len(flipped) // 3] ^= 0xFF
    (tmp_path / "flipped.mp4").write_bytes(flipped)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:3000])
    (tmp_path / "text.mp4").write_text("text")
    paths = [whole, tmp_path / "flipped.mp4", tmp_path / "cut.mp4", tmp_path / "text.mp4"]
    done = subprocess.run(
        [sys.executable, "-c", PROBE_EVERYTHING, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["50", "DamagedVideoError", "NoVideoError", "NoVideoError"]
    assert done.stderr == ""


def test_iterating_over_what_cannot_be_opened_raises_too(tmp_path: Path) -> None:
    with pytest.raises(NoVideoError):
        next(iterate_frames(tmp_path / "gone.mp4"))
