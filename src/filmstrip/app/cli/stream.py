"""``filmstrip stream``."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmstrip.app.cli.options import AnswerEngineOption
from filmstrip.text import to_json

if TYPE_CHECKING:
    from filmstrip.inference.watch import Sighting, Watch
    from filmstrip.video.live import LiveVideo


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip stream run camera:0 rtsp://door.local/live --json`",
    )(stream)


def stream(
    run: Annotated[Path, typer.Argument(help="A run folder or a model folder.")],
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files, camera:0, addresses (rtsp, rtmp, http, https, srt, tcp, udp), or - for "
            "standard input; several are watched at once."
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each change of label.")
    ] = False,
    min_confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="Take up another label only from this probability on."),
    ] = 0.0,
    memory: Annotated[
        float | None,
        typer.Option(
            help="Seconds of the past on which an answer may rest; the median length of the "
            "training clips if left out. For a file, inf makes the last answer that of predict."
        ),
    ] = None,
    chunked: Annotated[
        bool,
        typer.Option(
            "--chunked",
            help="Answer in overlapping windows of --memory seconds, four answers a window, which "
            "models can that read both ways or spread their frames over a clip.",
        ),
    ] = False,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="Show files at the pace of their recording.")
    ] = False,
    drop: Annotated[
        bool | None,
        typer.Option(
            "--drop/--no-drop",
            help="Drop frames that come faster than the model answers, or let the source wait. If "
            "left out, only cameras and addresses without end drop; with --real-time, all do.",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        str | None,
        typer.Option(
            help="Standard input holds bare RGB frames of this size and rate, such as 640x480@25; "
            "without, a container such as MPEG-TS, Matroska or YUV4MPEG."
        ),
    ] = None,
    stall: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence after which an address is gone.")
    ] = 10.0,
    once: Annotated[
        bool, typer.Option("--once", help="Do not open a camera or an address again once it ended.")
    ] = False,
    render_to: Annotated[
        Path | None,
        typer.Option("--render", help="Write a copy of the one source with its labels drawn on."),
    ] = None,
    engine: AnswerEngineOption = "auto",
    on_label: Annotated[
        list[str] | None,
        typer.Option(help="Run the command of --exec when this label begins; may be repeated."),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            help="Post the JSON of each change of label to this address; with --on-label, of those "
            "labels only."
        ),
    ] = None,
    execute: Annotated[
        str | None,
        typer.Option(
            "--exec",
            help="A program with its arguments; no shell reads it. FILMSTRIP_LABEL, "
            "FILMSTRIP_CONFIDENCE, FILMSTRIP_SOURCE and FILMSTRIP_TIME_SECONDS tell it more.",
        ),
    ] = None,
) -> None:
    """Watch live video: a line whenever the label changes, until all sources have ended.

    Each sampled frame passes through the network once; cost and memory do not grow. Files are read
    as fast as they can be. Cameras and addresses that end or fall silent are opened again. What is
    dropped, corrupt or changed is said on standard error.
    """
    from filmstrip.app.cli.console import messages, show_error
    from filmstrip.app.label_actions import LabelActions
    from filmstrip.app.webhook import parse_url
    from filmstrip.errors import VideoError
    from filmstrip.inference.misfit import misfits
    from filmstrip.inference.predict import load
    from filmstrip.inference.watch import Watch
    from filmstrip.inference.window import describe_default
    from filmstrip.video.address import parse_address
    from filmstrip.video.live import LiveVideo

    def say(words: str) -> None:
        messages.print(words, soft_wrap=True, markup=False)

    if render_to is not None and len(sources) != 1:
        raise VideoError(
            f"--render {render_to} with {len(sources)} sources",
            "one source to draw the labels on",
            "give one source, or call the command once for each.",
        )
    if webhook is not None:
        parse_url(webhook)  # before the model is loaded
    addresses = [parse_address(text, raw) for text in sources]
    names = [address.shown for address in addresses]
    predictor = load(run, engine, note=say, warn=say)
    actions = LabelActions(on_label or [], execute, webhook, predictor.class_names, say)
    videos = [
        LiveVideo(
            address,
            lambda words, name=name: say(f"{name}: {words}"),  # type: ignore[misc]
            stall_seconds=stall,
            is_paced=real_time,
            is_tried_again=not once,
        )
        for address, name in zip(addresses, names, strict=True)
    ]
    drops_late = True if real_time and drop is None else drop
    watch = Watch(predictor, videos, [drops_late] * len(videos), memory, chunked)
    if memory is None:
        say(describe_default(predictor.spec, "Memory"))
    labels: dict[int, str] = {}

    def told() -> Iterator[Sighting]:
        for sighting in watch.sightings():
            answer = sighting.prediction
            is_sure = answer.confidence >= min_confidence and not answer.abstains
            is_change = is_sure and labels.get(sighting.place) != answer.label
            if is_change:
                labels[sighting.place] = answer.label
                actions.begin(sighting, names[sighting.place])
            if is_change or (as_json and sighting.is_last):
                _print(sighting, names[sighting.place], as_json)
            yield sighting

    try:
        with _ended_by_signals(watch):
            if render_to is not None:
                _render(told(), render_to)
            else:
                deque(told(), maxlen=0)
    finally:
        for place, words in enumerate(_summaries(watch, videos)):
            if watch.streams[place].num_frames or watch.errors[place] is None:
                say(f"{names[place]}: {words}")
            # The average of a live source counts its pauses.
            rate = videos[place].average_fps if addresses[place].kind == "file" else None
            for sentence in misfits(predictor.spec, frames_per_second=rate):
                say(f"{names[place]}: {sentence}")
        are_delivered = actions.close()
    errors = [error for error in watch.errors if error is not None]
    for error in errors:
        show_error(error)
    if errors or not are_delivered:
        raise typer.Exit(1)


@contextmanager
def _ended_by_signals(watch: Watch) -> Iterator[None]:
    """Let Ctrl-C or ``kill`` end the videos in good order; a second one is obeyed at once."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for name, handler in before.items():
            signal.signal(name, handler)

    def end(_number: int, _frame: object) -> None:
        restore()
        watch.stop()

    for name in before:
        signal.signal(name, end)
    try:
        yield
    finally:
        restore()


def _render(sightings: Iterator[Sighting], out: Path) -> None:
    from filmstrip.inference.render import render_live
    from filmstrip.video.picture import RgbConverter

    to_rgb = RgbConverter()
    render_live(
        (
            (sighting.time_seconds, to_rgb(sighting.frame), sighting.prediction)
            for sighting in sightings
            if sighting.frame is not None
        ),
        out,
    )


def _print(sighting: Sighting, source: str, as_json: bool) -> None:
    from filmstrip.app.cli.console import output
    from filmstrip.app.label_actions import event
    from filmstrip.inference.timeline_files import clock_time

    answer = sighting.prediction
    if as_json:
        text = to_json(event(sighting, source))
    else:
        at = clock_time(sighting.time_seconds)
        doubt = "  unfamiliar" if answer.unfamiliar else ""
        text = f"{at}  {source}  {answer.label}  {answer.confidence:.2f}{doubt}"
    output.print(text, soft_wrap=True, markup=False)


def _summaries(watch: Watch, videos: Sequence[LiveVideo]) -> list[str]:
    """For each video what was seen and what was left out."""
    summaries = []
    for stream, video, num_dropped in zip(watch.streams, videos, watch.num_dropped, strict=True):
        words = [
            f"{stream.num_frames} frames in {video.end_seconds:.1f} s",
            f"{stream.num_seen} seen by the network",
            f"{num_dropped + stream.num_late} dropped",
        ]
        if video.num_corrupt:
            words.append(f"{video.num_corrupt} corrupt")
        if stream.num_restarts:
            words.append(f"{stream.num_restarts} beginnings after a pause")
        if video.num_connections > 1:
            words.append(f"opened {video.num_connections} times")
        summaries.append(", ".join(words))
    return summaries
