"""Frames of a live source, for as long as it lasts: it may stall, break, go away and come back.

Files pass through here, too, when they are watched as if they were live. What is wrong is said, and
the rest goes on: packets that cannot be decoded are left out, a camera or an address that ends or
falls silent is opened again, after a wait that doubles up to half a minute.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from filmstrip.errors import ResourceError, VideoError, lacks_memory, out_of_memory
from filmstrip.video.address import Address, has_end
from filmstrip.video.completeness import find_missing
from filmstrip.video.failures import check_readable, check_room
from filmstrip.video.packets import CorruptMarks
from filmstrip.video.probe import claimed_duration_seconds
from filmstrip.video.source import video_stream
from filmstrip.video.timestamps import LONGEST_FRAME_SECONDS, ContinuousTimes, Gap, is_gap

LONGEST_WAIT_SECONDS = 30.0
"""The longest pause before an address is tried again."""

NUM_FIRST_ATTEMPTS = 5
"""How often an address is tried that never showed a frame; one that did is tried for ever."""

_ENDLESS_SECONDS = 1800.0
"""For how long a source without a length is expected to go on."""

_MOST_GAPS_SAID = 10

# A presentation time that runs this far ahead of the clock on the wall is a jump, not a pause.
_JUMP_SECONDS = 10.0


class LiveVideo:
    """The frames of one address.

    Args:
        address: where they come from.
        say: hears in a few words what happens to it.
        stall_seconds: after how long a silent address counts as gone.
        first_wait_seconds: the pause before it is first tried again.
        is_paced: show what has an end at the pace at which it was recorded.
        is_tried_again: open an address again after it ended or failed, unless it has an end.

    Attributes:
        num_corrupt: packets that came damaged, and frames left out as they could not be decoded.
        num_connections: how often it was opened.
        end_seconds: until when the last frame is shown.
        missing: what shows that a file is not complete, in a few words; known once it has ended,
            None where nothing does.
        gaps: stretches of a file without a frame.
    """

    def __init__(
        self,
        address: Address,
        say: Callable[[str], None] = lambda _words: None,
        stall_seconds: float = 10.0,
        first_wait_seconds: float = 1.0,
        is_paced: bool = False,
        is_tried_again: bool = True,
    ) -> None:
        self.address = address
        self.num_corrupt = self.num_connections = 0
        self.end_seconds = 0.0
        self.missing: str | None = None
        self.gaps: list[Gap] = []
        self._say = say
        self._stall_seconds = stall_seconds
        self._first_wait_seconds = first_wait_seconds
        self._is_paced = is_paced
        self._is_tried_again = is_tried_again and address.comes_back
        self._has_end = address.kind == "file"
        self._is_stopped = Event()
        self._num_frames = 0
        self._last_seconds = 0.0
        self._first_wall = 0.0
        self._size: tuple[int, int] | None = None

    @property
    def average_fps(self) -> float:
        """Frames per second so far, pauses included; 0 before the first frame."""
        return self._num_frames / self.end_seconds if self.end_seconds else 0.0

    @property
    def drops_late(self) -> bool:
        """Whether a frame that is not taken in time is lost: of cameras, and addresses without end.

        If an http or https address has an end is known once it is open.
        """
        return self.address.comes_back and not self._has_end

    def likely_seconds(self) -> float:
        """How long it is likely to go on: a file as its header says, all else for half an hour."""
        if self.address.kind != "file":
            return _ENDLESS_SECONDS
        try:
            with self.address.open(self._stall_seconds) as container:
                return (container.duration or 0) / av.time_base
        except (av.error.FFmpegError, VideoError):  # told by ``frames``
            return 0.0

    def stop(self) -> None:
        """End ``frames`` after the frame that is under way."""
        self._is_stopped.set()

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Each frame with the seconds since the first one, which go on over interruptions.

        Raises:
            VideoError: a file or pipe that holds no video, or an address that cannot be reached or
                breaks off before its known end.
            ResourceError: a file cannot be read now, for example for lack of memory.
        """
        num_failures = 0
        while not self._is_stopped.is_set():
            before = self._num_frames
            failure: Exception | None = None
            try:
                yield from self._connection()
            except av.error.ProtocolNotFoundError as error:
                raise self._unknown_protocol() from error
            except (av.error.FFmpegError, VideoError, OSError) as error:
                failure = error
            if self._is_stopped.is_set():
                return
            num_failures = 0 if self._num_frames > before else num_failures
            reason = "ended" if failure is None else _reason(failure, self._stall_seconds)
            if failure is not None and not self.drops_late:
                self._check_machine(failure)
            if self._has_end and self._num_frames and self.address.kind == "network":
                if failure is not None:
                    raise self._broke_off(reason) from failure
                return
            if not self._is_tried_again:
                if not self._num_frames:
                    raise self._unreachable(failure, reason) from failure
                if failure is not None:
                    self.missing = reason
                    self._say(f"broke off after {self.end_seconds:.1f} s: {reason}")
                elif self.missing is not None:
                    self._say(f"is not complete: {self.missing}")
                return
            if not self._num_frames and num_failures + 1 == NUM_FIRST_ATTEMPTS:
                raise self._unreachable(failure, reason) from failure
            wait = min(self._first_wait_seconds * 2**num_failures, LONGEST_WAIT_SECONDS)
            num_failures += 1
            self._say(f"{reason}; trying again in {wait:g} s")
            self._is_stopped.wait(wait)

    def _connection(self) -> Iterator[tuple[float, VideoFrame]]:
        """The frames from opening the address to its end."""
        with self.address.open(self._stall_seconds) as container:
            stream = video_stream(self.address.shown, container)
            self._has_end = self._has_end or (self.address.is_web and has_end(container))
            self.num_connections += 1
            if self.num_connections > 1:
                self._say("is back")
            times = _Times(container, stream, may_jump=not self._has_end)
            start = self._start_of_connection()
            first_pts: int | None = None
            is_file = self.address.kind == "file"
            pace = time.monotonic() - start
            for frame in self._decoded(container, stream):
                usual = times.usual_seconds
                seconds, shown_seconds = times.of(frame)
                if times.is_wrong:
                    self._say(f"its time stamp after {start + seconds:.1f} s cannot be true")
                if self._has_end and self._num_frames:
                    self._note_gap(self._last_seconds, start + seconds, usual)
                self._last_seconds = start + seconds
                if first_pts is None:
                    first_pts = frame.pts
                self.end_seconds = start + seconds + shown_seconds
                self._num_frames += 1
                self._note_size(frame)
                if self._is_paced and self._has_end:
                    self._is_stopped.wait(max(pace + start + seconds - time.monotonic(), 0))
                if self._is_stopped.is_set():
                    return
                yield start + seconds, frame
            if is_file and self._num_frames:
                self.missing = self._what_is_missing(container, stream, first_pts)

    def _start_of_connection(self) -> float:
        """The time of its first frame: pauses count, unless earlier frames came ahead of time."""
        if not self._num_frames:
            self._first_wall = time.monotonic()
            return 0.0
        return max(self.end_seconds, time.monotonic() - self._first_wall)

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Frames that were decoded without errors, from the first key frame on."""
        first_pts: int | None = None
        has_begun = False
        # A packet without data is a frame that AVI dropped; a decoder would take it for the end.
        packets = (packet for packet in container.demux(stream) if packet.size)
        is_file = self.address.kind == "file"
        times = ContinuousTimes(container, stream)
        marks = CorruptMarks(Path(self.address.name), container)
        for packet in packets:
            if self._has_end and times.mend(packet):
                self._say("its time stamps restart or jump, as in joined recordings; it goes on")
            if not has_begun:
                if not packet.is_keyframe:
                    continue
                has_begun, first_pts = True, packet.pts
            is_damaged = packet.is_corrupt
            if is_file:
                is_damaged = marks.tell_damage(packet, times.leaves_out_frame)
            if is_damaged:
                self._note_corrupt()
            for frame in self._tried(stream, packet.decode):
                if first_pts is None or frame.pts is None or frame.pts >= first_pts:
                    yield frame
        yield from self._tried(stream, lambda: stream.decode(None))

    def _tried(
        self, stream: VideoStream, decode: Callable[[], list[VideoFrame]]
    ) -> Iterator[VideoFrame]:
        try:
            frames = decode()
        except av.error.InvalidDataError as error:
            check_room(self.address.shown, stream, error)
            self._note_corrupt()
            return
        for frame in frames:
            if frame.is_corrupt:
                self._note_corrupt()
            else:
                yield frame

    def _what_is_missing(
        self, container: InputContainer, stream: VideoStream, first_pts: int | None
    ) -> str | None:
        start = 0.0
        if first_pts is not None and stream.time_base is not None:
            start = float(first_pts * stream.time_base)
        claimed = claimed_duration_seconds(container, stream)
        path, seconds = Path(self.address.name), self.end_seconds
        words = find_missing(path, container.format.name, seconds, self._num_frames, claimed, start)
        if words is None and self.num_corrupt:
            words = f"{self.num_corrupt} corrupt packets or frames were left out"
        return words

    def _note_gap(self, last_seconds: float, seconds: float, usual_seconds: float) -> None:
        if not is_gap(seconds - last_seconds, usual_seconds):
            return
        self.gaps.append(Gap(last_seconds, seconds))
        if len(self.gaps) <= _MOST_GAPS_SAID:
            self._say(f"no frame from {last_seconds:.1f} s to {seconds:.1f} s")

    def _note_corrupt(self) -> None:
        if not self.num_corrupt:
            self._say("sends corrupt packets; what cannot be decoded is left out")
        self.num_corrupt += 1

    def _note_size(self, frame: VideoFrame) -> None:
        size = (frame.width, frame.height)
        if self._size is not None and size != self._size:
            self._say(
                f"now sends {size[0]}×{size[1]} pixels, before {self._size[0]}×{self._size[1]}"
            )
        self._size = size

    def _unknown_protocol(self) -> VideoError:
        return VideoError(
            f"{self.address.shown}: this build of FFmpeg does not know this sort of address",
            "an address that PyAV's FFmpeg can open: its wheels know rtsp, rtmp, http, tcp and udp",
            "let 'ffmpeg -i ADDRESS -c copy -f mpegts -' of your own open it, and pipe it into "
            "'filmstrip stream RUN -'; or build PyAV against that FFmpeg.",
        )

    def _check_machine(self, failure: Exception) -> None:
        """Raise a ``ResourceError`` if the machine failed, and not the source."""
        if isinstance(failure, ResourceError):
            raise failure
        if lacks_memory(failure):
            raise out_of_memory(self.address.shown) from failure
        if self.address.kind == "file" and isinstance(failure, OSError):
            check_readable(Path(self.address.name))

    def _broke_off(self, reason: str) -> VideoError:
        return VideoError(
            f"{self.address.shown}: broke off after {self.end_seconds:.1f} s, before its end "
            f"({reason})",
            "an address that sends all of its video",
            "run the command again; or save the video to a file, for example with 'curl -LO "
            "ADDRESS', and give the file.",
        )

    def _unreachable(self, failure: Exception | None, reason: str) -> VideoError:
        if isinstance(failure, VideoError):
            return failure
        return VideoError(
            f"{self.address.shown}: cannot be opened ({reason})",
            "a file, camera, pipe or address that sends video now",
            "check that it plays elsewhere, for example with 'ffplay', and the spelling.",
        )


class _Times:
    """When each frame of one connection comes, in seconds after the first."""

    def __init__(self, container: InputContainer, stream: VideoStream, may_jump: bool) -> None:
        # Frames that are flushed from a decoder do not carry the time base that their times are in.
        self._time_base = stream.time_base
        # AVI has no presentation times: where its codec reorders frames, FFmpeg guesses them.
        self._is_guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
        self._may_jump = may_jump
        self._frame_seconds = float(1 / (stream.average_rate or stream.guessed_rate or 25))
        self.is_wrong = False  # whether the time stamp of the last frame could not be true
        self.usual_seconds = self._frame_seconds  # between two frames; gaps do not count
        self._first_pts: int | None = None
        self._offset = 0.0
        self._last: float | None = None
        self._last_wall = 0.0

    def of(self, frame: VideoFrame) -> tuple[float, float]:
        """The seconds at which ``frame`` comes, and for how long it is likely shown."""
        wall = time.monotonic()
        seconds = self._stamped(frame)
        if self._last is not None:
            passed = seconds - self._last
            self.is_wrong = passed > LONGEST_FRAME_SECONDS
            ahead = passed - (wall - self._last_wall)
            if passed < 0 or self.is_wrong or (self._may_jump and ahead > _JUMP_SECONDS):
                mended = self._last + self._frame_seconds
                self._offset += mended - seconds
                seconds = mended
            elif passed:
                self._frame_seconds = passed
                if not is_gap(passed, self.usual_seconds):
                    self.usual_seconds = passed
        self._last, self._last_wall = seconds, wall
        return seconds, self._shown_seconds(frame)

    def _stamped(self, frame: VideoFrame) -> float:
        if frame.pts is None or self._is_guessed or self._time_base is None:
            return 0.0 if self._last is None else self._last + self._frame_seconds
        if self._first_pts is None:
            # FFmpeg gives the first frame of an RTSP server no time.
            self._first_pts = frame.pts
            self._offset = 0.0 if self._last is None else self._last + self._frame_seconds
        return float((frame.pts - self._first_pts) * self._time_base) + self._offset

    def _shown_seconds(self, frame: VideoFrame) -> float:
        if frame.duration and self._time_base is not None:
            seconds = float(frame.duration * self._time_base)
            if seconds <= LONGEST_FRAME_SECONDS:
                return seconds
        return self.usual_seconds


def _reason(error: Exception, stall_seconds: float) -> str:
    if isinstance(error, av.error.ExitError):
        return f"silent for {stall_seconds:g} s"
    if isinstance(error, VideoError):
        return error.given
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return "the connection was closed"  # FFmpeg's word where a server states no length
    return str(getattr(error, "strerror", None) or error)
