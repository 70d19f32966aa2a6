from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filmstrip.errors import VideoError
from filmstrip.inference import watch as watch_module
from filmstrip.inference.predict import Predictor, load
from filmstrip.inference.watch import Watch
from filmstrip.training.run_folder import RunFolder
from filmstrip.video.address import file_address, parse_address
from filmstrip.video.encode import write_video
from filmstrip.video.live import LiveVideo


@pytest.fixture(scope="module")
def predictor(finished_run: RunFolder) -> Predictor:
    return load(finished_run.path)


def _file(path: Path) -> LiveVideo:
    return LiveVideo(file_address(str(path)))


def _pictures(number: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, 48, 64, 3), dtype=np.uint8)


def _passes(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames each pass of the network sees, from now on."""
    sizes: list[int] = []
    embed = predictor._engine.embed
    monkeypatch.setattr(
        predictor._engine, "embed", lambda frames: sizes.append(len(frames)) or embed(frames)
    )
    return sizes


def test_files_wait_for_one_another_so_that_all_are_seen_in_one_pass(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_LONGEST_WAIT_SECONDS", 60)  # of a machine that is busy
    path = tmp_path / "clip.avi"
    write_video(path, _pictures(60), 10)
    sizes = _passes(predictor, monkeypatch)
    watch = Watch(
        predictor, [_file(path) for _ in range(3)], drops_late=[False] * 3, memory_seconds=math.inf
    )
    seen = [0, 0, 0]
    ends = []
    for sighting in watch.sightings():
        seen[sighting.place] += not sighting.is_last
        if sighting.is_last:
            ends.append(sighting)
        assert max(seen) - min(seen) <= 1
    assert seen == [60, 60, 60]
    assert sizes == [3] * 60
    assert sorted(sighting.place for sighting in ends) == [0, 1, 2]
    expected = predictor.predict(path).probs
    for sighting in ends:
        assert sighting.prediction.probs == pytest.approx(expected, abs=1e-4)


def test_a_file_that_stalls_does_not_hold_up_the_others(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_video(tmp_path / "clip.mp4", _pictures(20), 10)
    others_ended = threading.Event()

    class Stalling(LiveVideo):
        def frames(self) -> Iterator[Any]:
            for number, arrival in enumerate(super().frames()):
                assert number != 5 or others_ended.wait(60)
                yield arrival

    stalling = Stalling(file_address(str(tmp_path / "clip.mp4")))
    watch = Watch(predictor, [_file(tmp_path / "clip.mp4"), stalling], drops_late=[False, False])
    ends = []
    for sighting in watch.sightings():
        if sighting.is_last:
            ends.append(sighting.place)
            others_ended.set()
    assert ends == [0, 1]
    assert [stream.num_frames for stream in watch.streams] == [20, 20]


def test_a_live_source_that_is_too_fast_is_thinned_out_and_counted(
    predictor: Predictor,
    serve: Callable[..., Any],
    transport_stream: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = parse_address(serve([transport_stream(_pictures(150), 30)]).address)
    video = LiveVideo(address, is_tried_again=False)
    watch = Watch(predictor, [video], drops_late=[True])
    first_seen = threading.Event()
    embed = predictor._engine.embed

    def slowly(frames: np.ndarray) -> Any:  # a network that is busy until all frames have come
        if first_seen.is_set():
            reader.join(5)
        first_seen.set()
        return embed(frames)

    reader = watch._readers[0]
    monkeypatch.setattr(predictor._engine, "embed", slowly)
    times = [sighting.time_seconds for sighting in watch.sightings()]
    pushed, dropped = watch.streams[0].num_frames, watch.num_dropped[0]
    assert pushed + dropped == 150
    assert dropped > 50
    assert times[-2] == pytest.approx(149 / 30, abs=0.01)  # the newest is always seen


def test_a_live_source_is_opened_only_when_the_network_is_ready_for_it(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    write_video(tmp_path / "clip.mp4", _pictures(5), 10)
    predictor = load(finished_run.path)
    was_ready = []

    class Live(LiveVideo):
        def frames(self) -> Iterator[Any]:
            was_ready.append(predictor._engine._run is not None)
            yield from super().frames()

    assert predictor._engine._run is None
    video = Live(file_address(str(tmp_path / "clip.mp4")))
    list(Watch(predictor, [video], drops_late=[True]).sightings())
    assert was_ready == [True]


def test_a_file_is_never_thinned_out_however_slow_the_network(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_video(tmp_path / "clip.mp4", _pictures(100), 50)
    watch = Watch(predictor, [_file(tmp_path / "clip.mp4")], drops_late=[False])
    assert len(list(watch.sightings())) == 101
    assert watch.num_dropped == [0]


def test_a_source_that_fails_is_kept_with_its_reason_and_the_others_go_on(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_video(tmp_path / "clip.mp4", _pictures(10), 10)
    videos = [_file(tmp_path / "gone.mp4"), _file(tmp_path / "clip.mp4")]
    watch = Watch(predictor, videos, drops_late=[False, False])
    assert {sighting.place for sighting in watch.sightings()} == {1}
    assert isinstance(watch.errors[0], VideoError)
    assert watch.errors[1] is None


def test_what_is_no_fault_of_a_video_is_raised(predictor: Predictor, tmp_path: Path) -> None:
    class Broken(LiveVideo):
        def frames(self) -> Iterator[Any]:
            raise ZeroDivisionError

    watch = Watch(predictor, [Broken(file_address("x.mp4"))], drops_late=[False])
    with pytest.raises(ZeroDivisionError):
        list(watch.sightings())


def test_leaving_early_ends_the_readers(predictor: Predictor, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", _pictures(200), 10)
    watch = Watch(predictor, [_file(tmp_path / "clip.mp4")] * 1, drops_late=[False])
    sightings = watch.sightings()
    next(sightings)
    sightings.close()
    watch._readers[0].join(5)
    assert not watch._readers[0].is_alive()


def test_a_watch_that_is_stopped_does_not_wait_for_a_silent_source(
    predictor: Predictor, serve: Callable[..., Any], transport_stream: Callable[..., bytes]
) -> None:
    server = serve([transport_stream(_pictures(20)), None])
    watch = Watch(predictor, [LiveVideo(parse_address(server.address))], drops_late=[True])
    places = []
    for sighting in watch.sightings():
        if not places:
            threading.Timer(3, watch.stop).start()  # all frames have come by then, no end will
        places.append(sighting.is_last)
    assert places[-1]
    assert not any(places[:-1])


def test_watch_drops_no_frame_of_an_address_with_an_end(
    predictor: Predictor,
    serve: Callable[..., Any],
    transport_stream: Callable[..., bytes],
) -> None:
    sent = transport_stream(_pictures(100), 30)
    address = parse_address(serve([sent], length=len(sent)).address)
    watch = Watch(predictor, [LiveVideo(address)], drops_late=[None])
    assert len(list(watch.sightings())) == 101
    assert watch.num_dropped == [0]
