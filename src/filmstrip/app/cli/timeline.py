"""``filmstrip timeline``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmstrip.app.cli.options import AnswerEngineOption

if TYPE_CHECKING:
    from filmstrip.inference.timeline import TimelineStep


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip timeline run match.mp4 --min-length 2 --out match.srt "
        "--html match.html`"
    )(timeline)


def timeline(
    run: Annotated[Path, typer.Argument(help="A run folder or a model folder.")],
    video: Annotated[
        str,
        typer.Argument(
            help="A video file of any length, the http or https address of one, or - for standard "
            "input."
        ),
    ],
    out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Write the segments to this file: .json, .csv, .srt or .vtt; may be repeated."
        ),
    ] = None,
    probs: Annotated[
        Path | None, typer.Option(help="Write the probabilities of every step to this CSV.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the probabilities over time, and the segments below, to this PNG."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page on which a click on a segment plays it; it plays the file from "
            "where it lies, seen from the page."
        ),
    ] = None,
    embed: Annotated[
        bool, typer.Option("--embed", help="Put the recording into the page: at most 20 MB.")
    ] = False,
    window: Annotated[
        float | None,
        typer.Option(
            help="Seconds that are looked at together; the median length of the training clips if "
            "left out."
        ),
    ] = None,
    stills: Annotated[
        bool,
        typer.Option(
            "--stills",
            help="Answer pauses, too, in which the picture stands still; for classes that can.",
        ),
    ] = False,
    engine: AnswerEngineOption = "auto",
    enter: Annotated[
        float, typer.Option(help="Probability from which a class begins a segment.")
    ] = 0.6,
    leave: Annotated[
        float, typer.Option(help="Probability below which a class ends its segment.")
    ] = 0.4,
    min_length: Annotated[
        float,
        typer.Option(help="Seconds; shorter segments are dropped, as short interruptions closed."),
    ] = 0.0,
) -> None:
    """Say what a long recording shows, and from when to when.

    Each sampled frame passes through the network once. Memory does not grow with the recording, but
    for a few numbers a step with --plot. Any model will do. Damaged parts of the file are left out,
    and said.
    """
    from filmstrip.app.cli.console import messages, output
    from filmstrip.app.timeline_page import check_embeddable, write_timeline_page
    from filmstrip.errors import RecipeError
    from filmstrip.inference.misfit import misfits
    from filmstrip.inference.predict import load
    from filmstrip.inference.segments import Hysteresis, find_segments
    from filmstrip.inference.timeline_files import (
        Recording,
        clock_time,
        write_segments,
        writer_for,
        writing_steps,
    )
    from filmstrip.inference.window import describe_default
    from filmstrip.video.address import file_address
    from filmstrip.video.live import LiveVideo
    from filmstrip.video.spool import local_file, needs_spooling, shown_name

    name = shown_name(video)

    def say(words: str) -> None:
        messages.print(f"{name}: {words}", soft_wrap=True, markup=False)

    rules = Hysteresis(enter, leave, min_length)
    for path in out or []:
        writer_for(path)
    if embed and html is None:
        raise RecipeError(
            "--embed without --html", "a page to put the recording into", "add --html page.html."
        )
    address = name if needs_spooling(video) else None
    if html is not None and not embed and address is not None and video == "-":
        raise RecipeError(
            f"--html {html} for standard input: the page would have no recording to play",
            "a recording that is kept, or --embed",
            "add --embed, or save the recording to a file first.",
        )
    with local_file(video, note=say) as file:
        if embed:
            check_embeddable(file)
        predictor = load(run, engine, note=say, warn=say)
        reader = LiveVideo(file_address(str(file)), say)
        steps = predictor.timeline(window, stills).steps(reader)
        if window is None:
            messages.print(describe_default(predictor.spec, "Window"), soft_wrap=True)
        if probs is not None:
            steps = writing_steps(probs, steps, predictor.class_names)
        drawn: list[TimelineStep] = []
        if plot is not None:
            steps = _keeping(drawn, steps)
        segments = []
        for segment in find_segments(steps, predictor.class_names, rules):
            segments.append(segment)
            times = [clock_time(at) for at in (segment.start_seconds, segment.end_seconds)]
            output.print(
                f"{times[0]}  {times[1]}  {segment.label}  {segment.confidence:.2f}"
                + ("  unfamiliar" if segment.is_unfamiliar else ""),
                soft_wrap=True,
                markup=False,
            )
        for path in out or []:
            write_segments(path, segments, Recording(name, reader.missing, reader.gaps))
        if plot is not None:
            from filmstrip.inference.timeline_plot import plot_timeline

            plot_timeline(drawn, segments, predictor.class_names, plot)
        if html is not None:
            write_timeline_page(html, file, segments, reader.end_seconds, embed, address)
        for sentence in misfits(predictor.spec, frames_per_second=reader.average_fps):
            say(sentence)
        if reader.num_corrupt:
            say(f"{reader.num_corrupt} corrupt packets or frames were left out")
        noun = "segment" if len(segments) == 1 else "segments"
        messages.print(f"{len(segments)} {noun} in {clock_time(reader.end_seconds)}.")


def _keeping(kept: list[TimelineStep], steps: Iterable[TimelineStep]) -> Iterator[TimelineStep]:
    """Pass steps on, and keep them."""
    for step in steps:
        kept.append(step)
        yield step
