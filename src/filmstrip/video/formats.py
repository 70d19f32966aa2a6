"""The container formats that Filmstrip reads, and the file suffixes of each.

Every command takes its list of suffixes from here. Files that are named one by one may have any
suffix: the content decides how they are read.
"""

from __future__ import annotations

from pathlib import Path

_SUFFIXES = {
    "mov,mp4,m4a,3gp,3g2,mj2": (".mp4", ".mov", ".m4v", ".3gp", ".3g2", ".f4v", ".mj2", ".qt"),
    "matroska,webm": (".mkv", ".webm", ".mk3d"),
    "avi": (".avi", ".divx"),
    "mpegts": (".ts", ".mts", ".m2ts", ".m2t", ".mpg", ".mpeg"),
    "mpeg": (".mpg", ".mpeg", ".vob"),
    "mpegvideo": (".mpg", ".mpeg", ".m2v", ".m1v"),
    "asf": (".wmv", ".asf"),
    "flv": (".flv",),
    "ogg": (".ogv", ".ogg", ".ogm"),
    "mxf": (".mxf",),
    "dv": (".dv", ".dif"),
    "rm": (".rm", ".rmvb"),
    "wtv": (".wtv",),
    "nut": (".nut",),
    "gif": (".gif",),
    "ivf": (".ivf",),
    "yuv4mpegpipe": (".y4m",),
    "mjpeg": (".mjpeg", ".mjpg"),
    "m4v": (".m4v",),
    "h264": (".h264", ".264", ".avc"),
    "hevc": (".hevc", ".h265", ".265"),
    "vc1": (".vc1",),
    "obu": (".obu",),
}
"""FFmpeg's names of demuxers, and the suffixes of their files; the first is the usual one."""

# Files that only hold sound are opened too, so that the error can say so.
_SOUND_FORMATS = "aac,flac,mp3,wav"

FORMATS = f"{','.join(_SUFFIXES)},{_SOUND_FORMATS}"
"""FFmpeg's demuxers for files that hold pictures or sound themselves."""

VIDEO_SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
"""The suffixes under which files in folders are taken for videos, in lower case."""


def is_video(path: Path) -> bool:
    """Return whether the suffix is one of a video file."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def suffixes_of(container: str) -> tuple[str, ...]:
    """Return the suffixes for FFmpeg's name of a container, the usual one first; () if unknown."""
    return _SUFFIXES.get(container, ())
