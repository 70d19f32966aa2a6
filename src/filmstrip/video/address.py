"""What a live source is called, and how it is opened: a file, a camera, an address, a pipe.

A file is opened as ``video/source.py`` opens it. An address is opened with the protocols of its own
scheme and no other, so that nothing that it sends can make this machine read its own files.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer

from filmstrip.errors import VideoError, nearest
from filmstrip.video.formats import FORMATS
from filmstrip.video.limits import MAX_PIXELS
from filmstrip.video.source import check_is_file

Kind = Literal["file", "camera", "network", "pipe"]

_PROTOCOLS = {
    "http": "http,httpproxy,tcp,crypto",
    "https": "https,http,httpproxy,tls,tcp,crypto",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,tls,udp,tcp",
    "srt": "srt",
    "tcp": "tcp",
    "udp": "udp",
}
_NETWORK_FORMATS = f"{FORMATS},hls,mpjpeg,rtsp,rtp,sdp"
_CAMERA_FORMATS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
_LIVE_FORMATS = ("mpjpeg", "rtsp", "rtp", "sdp")
# Some cameras state a length that they never reach.
_ENDLESS_BYTES = 2**42
_RAW = re.compile(r"(\d+)x(\d+)@(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Address:
    """Where frames come from.

    Attributes:
        name: as the user wrote it.
        kind: of what sort it is.
        location: what FFmpeg is given.
        format: FFmpeg's name of the format, where it cannot be told from the content.
        options: for opening it.
    """

    name: str
    kind: Kind
    location: str
    format: str | None
    options: tuple[tuple[str, str], ...]

    @property
    def comes_back(self) -> bool:
        """Whether it is worth opening again after it ended or failed."""
        return self.kind in ("camera", "network")

    @property
    def is_web(self) -> bool:
        """Whether its scheme is http or https."""
        return self.kind == "network" and self.name.lower().startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
        """The name without a password, for messages."""
        return re.sub(r"//[^/@]*@", "//", self.name)

    def open(self, stall_seconds: float) -> InputContainer:
        """Open it.

        Args:
            stall_seconds: how long to wait for an address to answer, and for each packet.

        Raises:
            VideoError: it is a file that is missing or may not be read.
            av.error.FFmpegError: it cannot be opened now.
        """
        if self.kind == "file":
            check_is_file(Path(self.name))
        return av.open(
            self.location,
            "r",
            format=self.format,
            options={**dict(self.options), "max_pixels": str(MAX_PIXELS)},
            metadata_errors="replace",
            timeout=stall_seconds if self.kind == "network" else None,
        )


def has_end(container: InputContainer) -> bool:
    """Return whether an open http or https source has a known end, as a file has.

    It has if the server states its length, or the playlist (HLS) its end.
    """
    if container.format.name == "hls":
        return bool(container.duration)
    if container.format.name in _LIVE_FORMATS:
        return False
    return 0 < container.size < _ENDLESS_BYTES


def parse_address(text: str, raw: str | None = None) -> Address:
    """What ``text`` names: ``camera:0``, ``-`` for standard input, an address, or a file.

    Args:
        text: as the user wrote it.
        raw: for standard input, size and rate of bare RGB frames such as ``640x480@25``; without,
            the pipe carries a container such as MPEG-TS, Matroska or YUV4MPEG.

    Raises:
        VideoError: the scheme is unknown, or ``raw`` is no size and rate.
    """
    if text == "-":
        return _pipe(raw)
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "camera":
        return _camera(text, rest)
    if not re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
        return file_address(text)
    protocols = _PROTOCOLS.get(scheme.lower())
    if protocols is None:
        raise VideoError(
            f"{text}: the scheme {scheme!r} is not known",
            f"an address that begins with {', '.join(f'{known}://' for known in _PROTOCOLS)}",
            f"{nearest(scheme, _PROTOCOLS)} A file is given by its plain path.",
        )
    options = (
        ("format_whitelist", _NETWORK_FORMATS),
        ("protocol_whitelist", protocols),
        ("rtsp_flags", "prefer_tcp"),  # over UDP, a busy network loses packets
        ("fpsprobesize", "0"),  # else the first frames are held back, to guess a frame rate
    )
    return Address(text, "network", text, None, options)


def file_address(path: str) -> Address:
    """The address of a file, whatever its name looks like."""
    options = (("format_whitelist", FORMATS), ("protocol_whitelist", "file"))
    kind: Kind = "pipe" if Path(path).is_fifo() else "file"
    return Address(path, kind, f"file:{path}", None, options)


def _pipe(raw: str | None) -> Address:
    protocol = ("protocol_whitelist", "pipe")
    if raw is None:
        return Address("-", "pipe", "pipe:0", None, (("format_whitelist", FORMATS), protocol))
    match = _RAW.fullmatch(raw)
    if match is None or "0" in match.groups():
        raise VideoError(
            f"--raw {raw}",
            "size and rate of RGB frames, such as 640x480@25",
            "give width, height and frames a second of what is piped in.",
        )
    width, height, rate = match.groups()
    options = (
        ("video_size", f"{width}x{height}"),
        ("framerate", rate),
        ("pixel_format", "rgb24"),
        protocol,
    )
    return Address("-", "pipe", "pipe:0", "rawvideo", options)


def _camera(text: str, number: str) -> Address:
    format_name, location = _CAMERA_FORMATS.get(sys.platform, ("", ""))
    if not format_name or not number.isdecimal():
        raise VideoError(
            f"{text}: " + ("not the number of a camera" if format_name else "not on this system"),
            "camera:0, camera:1 … on Linux or macOS",
            "see which cameras there are with 'ls /dev/video*'.",
        )
    return Address(text, "camera", location.format(number), format_name, ())
