"""A video behind an address or a pipe becomes a file, so that it is read as any file is.

Reading a video takes two passes and seeks. What arrives once is therefore copied to a temporary
file of bounded size within a bounded time, and the file is removed afterwards. A source that has no
end is refused: ``filmstrip stream`` watches those.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import IO
from urllib.parse import SplitResult, unquote, urlsplit

import av

from filmstrip.errors import DamagedVideoError, FilmstripError, ResourceError, VideoError
from filmstrip.video.address import Address, has_end, parse_address
from filmstrip.video.source import video_stream

_MAX_REDIRECTS = 5
_BLOCK_BYTES = 2**18
_NOTED_BYTES = 10**7
# A real suffix helps FFmpeg to tell raw streams apart.
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_LIVE_TYPES = ("multipart/",)
_PLAYLIST = b"#EXTM3U"
# The durations in a playlist are rounded. More than this is missing for another reason.
_ROUNDED_SECONDS = 2.0
_ROUNDED_SHARE = 0.02
_LONGEST_FRAME_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much is copied, and for how long.

    Attributes:
        max_bytes: the largest copy.
        deadline_seconds: for the whole of a copy whose length the server states.
        unstated_deadline_seconds: for one whose length it does not state, which may have no end.
        stall_seconds: the longest wait for the next bytes from a server.
    """

    max_bytes: int = 8 * 2**30
    deadline_seconds: float = 3600.0
    unstated_deadline_seconds: float = 120.0
    stall_seconds: float = 30.0


DEFAULT_LIMITS = SpoolLimits()


def needs_spooling(source: str | Path) -> bool:
    """Return whether ``source`` is an address or a pipe, and not the path of a file or folder.

    Args:
        source: as the user wrote it. A ``Path`` is never an address.
    """
    if isinstance(source, Path):
        return source.is_fifo()
    is_address = source == "-" or re.match(r"[a-z][a-z0-9+.-]*://", source, re.IGNORECASE)
    is_camera = re.fullmatch(r"camera:\d*", source) and not Path(source).exists()
    return bool(is_address or is_camera) or Path(source).is_fifo()


def shown_name(source: str | Path) -> str:
    """Return the name of ``source`` for messages and results: as written, without a password."""
    return re.sub(r"//[^/@]*@", "//", source) if isinstance(source, str) else str(source)


def file_stem(source: str | Path) -> str:
    """Return a name for files about ``source``, such as ``clip`` for ``http://host/clip.mp4``."""
    if isinstance(source, Path) or not needs_spooling(source):
        return Path(source).stem
    if source == "-":
        return "stdin"
    parts = _parts(source)
    stem = PurePosixPath(unquote(parts.path)).stem or parts.hostname or "video"
    return re.sub(r"[^\w.-]+", "_", stem)[:100]


def file_name(source: str) -> str:
    """Return the name of a file about ``source`` that no other source shares."""
    digest = hashlib.blake2b(source.encode(), digest_size=4).hexdigest()
    return "stdin" if source == "-" else f"{file_stem(source)}-{digest}"


@contextmanager
def local_file(
    source: str | Path,
    note: Callable[[str], None] = lambda _words: None,
    limits: SpoolLimits = DEFAULT_LIMITS,
) -> Iterator[Path]:
    """Yield the path of a file with the content of ``source``: itself, or a temporary copy.

    Errors raised in the block name ``source`` instead of the copy.

    Args:
        source: a path, an http or https address, or ``-`` for standard input.
        note: receives a line before a large copy.
        limits: of the copy.

    Raises:
        VideoError: the source cannot be copied, has no end or exceeds the limits.
        ResourceError: the disk does not hold the copy.
    """
    if not needs_spooling(source):
        yield Path(source)
        return
    address = parse_address(str(source))
    if address.kind != "pipe" and not address.is_web:
        raise _endless(address.shown, "sends live video")
    with TemporaryDirectory(prefix="filmstrip-") as folder:
        path = Path(folder) / f"video{_suffix(address)}"
        _copy(address, path, note, limits)
        try:
            yield path
        except FilmstripError as error:
            for part in ("given", "expected", "remedy"):
                setattr(error, part, getattr(error, part).replace(str(path), address.shown))
            raise


def _parts(address: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        VideoError: it is malformed.
    """
    try:
        parts = urlsplit(address)
        hostname, _ = parts.hostname, parts.port
    except ValueError as error:
        hostname, reason = None, str(error)
    else:
        reason = "it names no host"
    if not hostname:
        raise VideoError(
            f"{shown_name(address)}: is no address ({reason})",
            "an address such as https://example.org/clip.mp4",
            "check the spelling.",
        )
    return parts


def _suffix(address: Address) -> str:
    if not address.is_web:
        return ""
    suffix = PurePosixPath(_parts(address.name).path).suffix
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _copy(address: Address, path: Path, note: Callable[[str], None], limits: SpoolLimits) -> None:
    try:
        with path.open("wb") as file:
            copy = _BoundedFile(address.shown, file, limits.max_bytes)
            if address.kind == "pipe":
                _copy_pipe(address, copy)
                return
            is_playlist = _Download(address, copy, note, limits).run()
    except OSError as error:
        raise ResourceError(
            f"{address.shown}: could not be copied to {path.parent} ({error.strerror or error})",
            "room for the video in the folder for temporary files",
            "free some space, or set TMPDIR to a folder with more room.",
        ) from error
    if is_playlist:
        _remux(address, path, limits)


class _BoundedFile:
    """A file that refuses to grow beyond a number of bytes."""

    def __init__(self, name: str, file: IO[bytes], max_bytes: int) -> None:
        self.num_bytes = 0
        self._name = name
        self._file = file
        self._max_bytes = max_bytes

    def write(self, block: bytes) -> None:
        """Add bytes.

        Raises:
            VideoError: it would grow too large.
        """
        self.check_fits(self.num_bytes + len(block))
        self._file.write(block)
        self.num_bytes += len(block)

    def check_fits(self, num_bytes: int) -> None:
        """Raise a ``VideoError`` if so many bytes are too many."""
        if num_bytes > self._max_bytes:
            raise VideoError(
                f"{self._name}: is larger than {self._max_bytes / 2**30:.3g} GiB",
                "a video that fits into a temporary copy of that size",
                "save it to a file and give the file; or watch it with 'filmstrip stream'.",
            )


def _copy_pipe(address: Address, copy: _BoundedFile) -> None:
    if address.name == "-" and sys.stdin is not None and sys.stdin.isatty():
        raise VideoError(
            "-: standard input is a terminal",
            "a video that is piped in",
            "pipe it in, as in 'filmstrip predict RUN - < clip.mp4', or give the file.",
        )
    source: int | str = 0 if address.name == "-" else address.name
    try:
        with open(source, "rb", buffering=0, closefd=source != 0) as pipe:
            while block := pipe.read(_BLOCK_BYTES):
                copy.write(block)
    except OSError as error:
        raise ResourceError(
            f"{address.shown}: could not be read ({error.strerror})",
            "a video that is piped in",
            "check the command that writes to the pipe.",
        ) from error


class _StoppedError(Exception):
    """The copy is no longer wanted."""


class _Download:
    """The copy of one http or https address, in a thread of its own.

    A client's own limits hold for one read each, and a server may send a byte now and then. The
    thread has a deadline for all of it, and Ctrl-C ends the wait at once.
    """

    def __init__(
        self,
        address: Address,
        copy: _BoundedFile,
        note: Callable[[str], None],
        limits: SpoolLimits,
    ) -> None:
        self._address = address
        self._copy = copy
        self._note = note
        self._limits = limits
        self._is_stopped = Event()
        self._failure: Exception | None = None
        self._is_playlist = False
        self._states_length = False

    def run(self) -> bool:
        """Copy everything; return whether it is a playlist, which was then not copied.

        Raises:
            VideoError: it cannot be copied.
            OSError: the file cannot be written.
        """
        thread = Thread(target=self._run, daemon=True, name=f"copy of {self._address.shown}")
        thread.start()
        try:
            while thread.is_alive():  # short waits, since only between them Ctrl-C is obeyed
                thread.join(0.2)
        finally:
            self._is_stopped.set()
            thread.join(1.0)
        if self._failure is not None:
            raise self._failure
        return self._is_playlist

    def _run(self) -> None:
        try:
            asyncio.run(self._fetch_in_time())
        except (VideoError, OSError) as error:
            self._failure = error
        except Exception as error:  # the client's own kinds
            self._failure = self._unreachable(str(error) or type(error).__name__, error)

    async def _fetch_in_time(self) -> None:
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.unstated_deadline_seconds) as deadline:
                await self._fetch(deadline)
        except TimeoutError as error:
            seconds = time.monotonic() - started
            if self._copy.num_bytes and not self._states_length:
                raise _endless(
                    self._address.shown,
                    f"states no length and still sends after {seconds:.0f} s",
                ) from error
            raise self._unreachable(f"not complete after {seconds:.0f} s", error) from error

    async def _fetch(self, deadline: asyncio.Timeout) -> None:
        import httpx2

        limits = self._limits
        client = httpx2.AsyncClient(
            timeout=limits.stall_seconds, follow_redirects=True, max_redirects=_MAX_REDIRECTS
        )
        # Compressed, a small answer could become a huge file.
        headers = {"Accept-Encoding": "identity", "User-Agent": "filmstrip"}
        async with client, client.stream("GET", self._address.name, headers=headers) as answer:
            self._check(answer.status_code, answer.reason_phrase, answer.headers)
            length = int(answer.headers.get("Content-Length", 0))
            if length:
                self._states_length = True
                loop = asyncio.get_running_loop()
                deadline.reschedule(loop.time() + limits.deadline_seconds)
                self._copy.check_fits(length)
            if length > _NOTED_BYTES:
                self._note(f"{self._address.shown}: copying {length / 1e6:.0f} MB")
            start = b""
            async for block in answer.aiter_raw():
                if self._is_stopped.is_set():
                    raise _StoppedError
                if len(start) < len(_PLAYLIST):
                    start += block[: len(_PLAYLIST)]
                    if start.startswith(_PLAYLIST):
                        self._is_playlist = True
                        return
                self._copy.write(block)

    def _check(self, status: int, phrase: str, headers: object) -> None:
        """Refuse what is no video by the head of the answer."""
        get = getattr(headers, "get")  # noqa: B009 - typed by the client alone
        kind = str(get("Content-Type", "")).lower()
        if status != 200:
            raise self._unreachable(f"the server answers {status} {phrase}".strip(), None)
        if kind.startswith(_LIVE_TYPES):
            raise _endless(self._address.shown, "sends live video")
        if kind.startswith("text/html"):
            raise VideoError(
                f"{self._address.shown}: is a web page, not a video",
                "the address of the video file itself",
                "download the video with the means of that site and give the file.",
            )
        encoding = str(get("Content-Encoding", "identity")).lower()
        if encoding != "identity":
            raise self._unreachable(f"it is sent compressed with {encoding}", None)

    def _unreachable(self, reason: str, error: Exception | None) -> VideoError:
        failure = VideoError(
            f"{self._address.shown}: could not be copied ({reason})",
            "an http or https address that sends a complete video",
            "check the address, for example with 'curl -LO ADDRESS', and give the saved file.",
        )
        failure.__cause__ = error
        return failure


def _remux(address: Address, path: Path, limits: SpoolLimits) -> None:
    """Copy the video of a playlist (HLS) to ``path``, without decoding it.

    Raises:
        VideoError: the playlist has no end, or cannot be read completely.
    """
    end = time.monotonic() + limits.deadline_seconds
    try:
        with address.open(limits.stall_seconds) as container:
            if not has_end(container):
                raise _endless(address.shown, "is a live playlist")
            stated_seconds = (container.duration or 0) / av.time_base
            stream = video_stream(address.shown, container)
            # NUT holds every codec, with the times of any time base.
            with av.open(str(path), "w", format="nut") as out:
                copy = out.add_stream_from_template(stream)
                seconds = 0.0
                last: float | None = None
                for packet in container.demux(stream):
                    if packet.dts is None or packet.time_base is None:
                        continue
                    at = float(packet.dts * packet.time_base)
                    length = float((packet.duration or 0) * packet.time_base)
                    passed = length if last is None else at - last
                    seconds += min(max(passed, 0.0), _LONGEST_FRAME_SECONDS)
                    last = at
                    packet.stream = copy
                    out.mux(packet)
                    if path.stat().st_size > limits.max_bytes or time.monotonic() > end:
                        raise VideoError(
                            f"{address.shown}: is larger than {limits.max_bytes / 2**30:.3g} GiB, "
                            f"or takes longer than {limits.deadline_seconds:.0f} s",
                            "a recording that can be copied within these limits",
                            "save it to a file with 'ffmpeg -i ADDRESS -c copy FILE.mkv' and give "
                            "the file.",
                        )
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{address.shown}: could not be copied ({error.strerror})",
            "a playlist (HLS) whose parts can be fetched",
            "check that it plays elsewhere, for example with 'ffplay'.",
        ) from error
    if stated_seconds - seconds > max(_ROUNDED_SECONDS, _ROUNDED_SHARE * stated_seconds):
        raise DamagedVideoError(
            f"{address.shown}: only {seconds:.1f} s of its {stated_seconds:.1f} s could be fetched",
            "a playlist (HLS) whose parts can all be fetched",
            "try again later, or check its parts on the server.",
        )


def _endless(name: str, what: str) -> VideoError:
    return VideoError(
        f"{name}: {what}, so it has no end that could be waited for",
        "a file, '-' for standard input, or the http or https address of a file",
        "watch it with 'filmstrip stream RUN ADDRESS'; or save a part of it to a file first.",
    )
