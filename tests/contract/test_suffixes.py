"""Every command reads a real file of each suffix in the list."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from filmstrip.dataset.index import open_index
from filmstrip.dataset.rows import VideoRow
from filmstrip.dataset.videos import list_videos
from filmstrip.features.source import ClipReader
from filmstrip.inference.predict import videos_below
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Framing

NUM_FRAMES = 12
ISO, MATROSKA, MPEG_TS = ("mp4", "libx264"), ("matroska", "libx264"), ("mpegts", "libx264")
PROGRAM, OGG, MPEG_VIDEO = ("vob", "mpeg2video"), ("ogg", "libvpx"), ("mpeg2video", "mpeg2video")
REAL_MEDIA, H264, H265 = ("rm", "rv20"), ("h264", "libx264"), ("hevc", "libx265")
WAYS_TO_WRITE = {
    **dict.fromkeys((".mp4", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mj2"), ISO),
    **dict.fromkeys((".mkv", ".webm", ".mk3d"), MATROSKA),
    **dict.fromkeys((".ts", ".mts", ".m2ts", ".m2t"), MPEG_TS),
    **dict.fromkeys((".mpg", ".mpeg", ".vob"), PROGRAM),
    **dict.fromkeys((".m1v", ".m2v"), MPEG_VIDEO),
    **dict.fromkeys((".ogv", ".ogg", ".ogm"), OGG),
    **dict.fromkeys((".avi", ".divx"), ("avi", "mpeg4")),
    **dict.fromkeys((".wmv", ".asf"), ("asf", "wmv2")),
    **dict.fromkeys((".dv", ".dif"), ("dv", "dvvideo")),
    **dict.fromkeys((".rm", ".rmvb"), REAL_MEDIA),
    **dict.fromkeys((".mjpeg", ".mjpg"), ("mjpeg", "mjpeg")),
    **dict.fromkeys((".h264", ".264", ".avc"), H264),
    **dict.fromkeys((".hevc", ".h265", ".265"), H265),
    ".flv": ("flv", "flv"),
    ".mxf": ("mxf", "mpeg2video"),
    ".wtv": ("wtv", "mpeg2video"),
    ".nut": ("nut", "mpeg4"),
    ".gif": ("gif", "gif"),
    ".ivf": ("ivf", "libvpx"),
    ".y4m": ("yuv4mpegpipe", "wrapped_avframe"),
    ".m4v": ("m4v", "mpeg4"),
    ".obu": ("obu", "libsvtav1"),
}
NOT_WRITABLE = {".vc1"}
"""FFmpeg has a decoder for this codec and no encoder."""

QUIET = {"libx265": {"x265-params": "log-level=none"}}


def write(path: Path, container: str, codec: str) -> None:
    width, height = (720, 576) if codec == "dvvideo" else (176, 144)
    formats = {"gif": "rgb8", "mjpeg": "yuvj420p"}
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, 25, options=QUIET.get(codec, {}))
        stream.width, stream.height = width, height
        stream.pix_fmt = formats.get(codec, "yuv420p")
        for number in range(NUM_FRAMES):
            picture = np.full((height, width, 3), 20 * number, dtype=np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


def test_every_suffix_of_the_list_is_tried() -> None:
    from filmstrip.video.formats import VIDEO_SUFFIXES

    assert set(WAYS_TO_WRITE) | NOT_WRITABLE == VIDEO_SUFFIXES


@pytest.mark.parametrize("suffix", sorted(WAYS_TO_WRITE))
def test_a_suffix_is_read_by_all_commands(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"kick/a{suffix.upper()}"
    for name in ("kick/b.mp4", "hug/a.mp4", "hug/b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write(file, *WAYS_TO_WRITE[suffix])
    assert file in {row.path for row in open_index(tmp_path).rows}
    assert file in {row.path for row in list_videos([tmp_path]).rows}
    assert file in videos_below([tmp_path]).files
    reader = ClipReader(UniformSampling(num_frames=NUM_FRAMES), Framing(size=16))
    frames, facts = reader.read(VideoRow(file, ""))
    assert (len(frames), facts.num_frames) == (NUM_FRAMES, NUM_FRAMES)
