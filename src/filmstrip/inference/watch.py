"""Several live videos at once, fair between them, with one pass of the network for all.

Each video is read by a thread of its own. A live one keeps only its newest frame ready: what the
network had no time for is dropped and counted, so no answer lags. What has an end, a file or an
http address of known length, waits for the network, and no frame of it is dropped. Each round takes
at most one frame of each video, so none can crowd out another; the busier the machine, the fuller a
pass. Files that are read as fast as they can be wait a moment for one another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Condition, Thread
from typing import TYPE_CHECKING

from av.video.frame import VideoFrame

from filmstrip.errors import FilmstripError
from filmstrip.inference.stream import Stream, push_together
from filmstrip.video.live import LiveVideo

if TYPE_CHECKING:
    from filmstrip.inference.predict import Predictor
    from filmstrip.inference.prediction import Prediction

# Frames of a file that are decoded ahead; none is dropped.
_NUM_AHEAD = 4

_LONGEST_WAIT_SECONDS = 0.05
"""For how long files wait for one another's next frame, so that all are seen in one pass."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The answer to one video at one moment.

    Attributes:
        place: of the video among those that are watched.
        time_seconds: after its first frame.
        prediction: what it shows now.
        frame: the frame; None once the video has ended.
    """

    place: int
    time_seconds: float
    prediction: Prediction
    frame: VideoFrame | None

    @property
    def is_last(self) -> bool:
        """Whether the video has ended, so that this is the answer to all of it."""
        return self.frame is None


class Watch:
    """Videos that are watched together.

    Args:
        predictor: what answers.
        videos: what is watched.
        memory_seconds: as for ``Predictor.stream``.
        is_chunked: likewise.
        drops_late: for each video whether a frame that is not taken in time is dropped; None
            leaves it to the video: cameras and addresses without end drop, all else waits.

    Attributes:
        streams: the stream of each video, with its counters.

    Raises:
        RecipeError: the model cannot be streamed.
    """

    def __init__(
        self,
        predictor: Predictor,
        videos: Sequence[LiveVideo],
        drops_late: Sequence[bool | None],
        memory_seconds: float | None = None,
        is_chunked: bool = False,
    ) -> None:
        self.streams = [predictor.stream(memory_seconds, is_chunked) for _ in videos]
        seconds = sum(video.likely_seconds() for video in videos)
        predictor.expect(seconds * self.streams[0].frames_per_second)
        self._predictor = predictor
        self._arrived = Condition()
        self._is_stopped = False
        self._readers = [
            _Reader(video, drops, self._arrived)
            for video, drops in zip(videos, drops_late, strict=True)
        ]

    @property
    def num_dropped(self) -> list[int]:
        """For each video how many frames came too fast for the network."""
        return [reader.num_dropped for reader in self._readers]

    @property
    def errors(self) -> list[FilmstripError | None]:
        """For each video why it ended; None where it ended well or goes on."""
        return [reader.error for reader in self._readers]

    def stop(self) -> None:
        """End all videos now, as if each had ended by itself; may be called by a signal handler."""
        with self._arrived:
            self._is_stopped = True
            self._arrived.notify_all()

    def sightings(self) -> Iterator[Sighting]:
        """The answers after each frame, until all videos have ended.

        Raises:
            Exception: what went wrong in a reader and is no fault of a video.
        """
        if any(reader.drops_late for reader in self._readers):
            self._predictor.warm_up()  # meanwhile, all that a live video shows would be dropped
        for reader in self._readers:
            reader.start()
        watched = dict(enumerate(zip(self._readers, self.streams, strict=True)))
        try:
            while watched:
                yield from self._round(watched)
        finally:
            for reader in self._readers:
                reader.stop()

    def _round(self, watched: dict[int, tuple[_Reader, Stream]]) -> Iterator[Sighting]:
        with self._arrived:
            self._wait_for_news([reader for reader, _ in watched.values()])
            taken = {
                place: None if self._is_stopped else reader.take()
                for place, (reader, _) in watched.items()
            }
        frames = {place: frame for place, frame in taken.items() if frame is not None}
        arrivals = [(watched[place][1], frame, at) for place, (at, frame) in frames.items()]
        answers = push_together(arrivals) if arrivals else []
        for (place, (at, _)), answer in zip(frames.items(), answers, strict=True):
            yield Sighting(place, at, answer, frames[place][1])
        for place, (reader, stream) in list(watched.items()):
            if place not in frames and (reader.is_over or self._is_stopped):
                del watched[place]
                if reader.crash is not None:
                    raise reader.crash
                if stream.num_frames:
                    video = reader.video
                    answer = replace(stream.finish(video.end_seconds), missing=video.missing)
                    yield Sighting(place, video.end_seconds, answer, frame=None)

    def _wait_for_news(self, readers: Sequence[_Reader]) -> None:
        """Return once a frame of a live video has come, or one of each file; the lock is held."""
        live = [reader for reader in readers if reader.drops_late]
        files = [reader for reader in readers if not reader.drops_late]

        def is_any_there() -> bool:
            return self._is_stopped or any(reader.has_news for reader in readers)

        def is_all_there() -> bool:
            if self._is_stopped or any(reader.has_news for reader in live):
                return True
            return all(reader.has_news for reader in files)

        self._arrived.wait_for(is_any_there)
        self._arrived.wait_for(is_all_there, _LONGEST_WAIT_SECONDS)


class _Reader(Thread):
    """Reads one video into a box that is emptied under the lock of ``arrived``."""

    def __init__(self, video: LiveVideo, drops_late: bool | None, arrived: Condition) -> None:
        super().__init__(daemon=True, name=f"reader of {video.address.shown}")
        self.video = video
        self._drops_late = drops_late
        self.num_dropped = 0
        self.error: FilmstripError | None = None
        self.crash: Exception | None = None
        self._arrived = arrived
        self._box: deque[tuple[float, VideoFrame]] = deque()
        self._is_done = self._is_stopped = False

    @property
    def drops_late(self) -> bool:
        """Whether a frame that is not taken in time is dropped."""
        return self.video.drops_late if self._drops_late is None else self._drops_late

    @property
    def has_news(self) -> bool:
        """Whether a frame waits, or none will come any more."""
        return bool(self._box) or self._is_done

    @property
    def is_over(self) -> bool:
        """Whether all frames were taken."""
        return self._is_done and not self._box

    def take(self) -> tuple[float, VideoFrame] | None:
        """The next frame, if one waits; the lock must be held."""
        if not self._box:
            return None
        self._arrived.notify_all()
        return self._box.popleft()

    def stop(self) -> None:
        """End the thread after the frame that is under way."""
        self.video.stop()
        with self._arrived:
            self._is_stopped = True
            self._box.clear()
            self._arrived.notify_all()

    def run(self) -> None:
        """Read to the end."""
        try:
            for arrival in self.video.frames():
                self._put(arrival)
        except FilmstripError as error:
            self.error = error
        except Exception as error:  # raised again where the frames are awaited
            self.crash = error
        finally:
            with self._arrived:
                self._is_done = True
                self._arrived.notify_all()

    def _put(self, arrival: tuple[float, VideoFrame]) -> None:
        with self._arrived:
            if self.drops_late and self._box:
                self._box.popleft()
                self.num_dropped += 1
            self._arrived.wait_for(lambda: len(self._box) < _NUM_AHEAD or self._is_stopped)
            self._box.append(arrival)
            self._arrived.notify_all()
