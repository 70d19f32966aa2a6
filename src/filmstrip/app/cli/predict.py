"""``filmstrip predict``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmstrip.app.cli.options import AnswerEngineOption

if TYPE_CHECKING:
    from filmstrip.inference.prediction import Prediction


_MOST_WARNINGS = 5


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: `filmstrip predict run clip.mp4 more_clips/ --top 3`")(predict)


def predict(
    run: Annotated[Path, typer.Argument(help="A run folder or a model folder.")],
    videos: Annotated[
        list[str],
        typer.Argument(
            help="Video files, folders of them, http or https addresses of files, or - for "
            "standard input."
        ),
    ],
    top: Annotated[
        int | None, typer.Option(min=1, help="How many labels to show; one if left out.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object a line: path, label, confidence, abstains, unfamiliar, "
            "complete, misfits (ways in which the video differs from the training clips), and "
            "probs of the --top labels, or of all without --top.",
        ),
    ] = False,
    engine: AnswerEngineOption = "auto",
    render_to: Annotated[
        Path | None,
        typer.Option("--render", help="Write a copy of the one video with its labels drawn on."),
    ] = None,
) -> None:
    """Say what new videos show.

    Where the confidence is below the model's own threshold, found on its validation clips, the
    model would rather not answer: the line then ends in "abstains"; in JSON that key is true.

    A clip that is unlike everything in the training set is marked as "unfamiliar", whatever its
    confidence: perhaps none of the classes applies. In JSON the key is null for models that were
    trained before this check existed.

    A file that is cut short or breaks midway is answered from what there is of it: the line ends in
    "incomplete", and in JSON `complete` is false. A file that cannot be read at all is named and
    the others go on; the exit code is then 1.
    """
    from filmstrip.app.cli.console import messages, show_error
    from filmstrip.dataset.rows import left_out_summary
    from filmstrip.errors import VideoError
    from filmstrip.inference.predict import load, videos_below
    from filmstrip.video.spool import local_file, shown_name

    def warn(words: str) -> None:
        messages.print(words, soft_wrap=True)

    predictor = load(run, engine, warn=warn)
    found = videos_below(videos)
    files = found.files
    lost = [file for file in found.skipped if file.is_loss]
    for note in lost:
        messages.print(f"Left out: {note.path}: {note.reason}.", soft_wrap=True)
    others = left_out_summary(file for file in found.skipped if not file.is_loss)
    if others:
        messages.print(others, soft_wrap=True)
    predictor.expect_clips(len(files))
    if render_to is not None and len(files) != 1:
        raise VideoError(
            f"--render {render_to} with {len(files)} videos",
            "one video to draw the labels on",
            "give one file, or call the command once for each.",
        )
    names = [shown_name(file) for file in files]
    width = max(map(len, names))
    num_failed = num_unfit = 0
    for file, name in zip(files, names, strict=True):
        try:
            with local_file(file, note=warn) as path:
                answer = replace(predictor.predict(path), path=name)
                if answer.missing is not None:
                    words = f"Incomplete: {name}: {answer.missing}."
                    messages.print(words, soft_wrap=True, markup=False)
                num_unfit += bool(answer.misfits)
                if num_unfit <= _MOST_WARNINGS:
                    _warn(answer)
                if as_json:
                    _print_json(answer, top)
                else:
                    _print_line(answer, top or 1, width)
                if render_to is not None:
                    _render(answer, path, render_to)
        except VideoError as error:
            num_failed += 1
            show_error(error)
    if num_unfit > _MOST_WARNINGS:
        messages.print(
            f"{num_unfit - _MOST_WARNINGS} more videos differ from the training clips; --json "
            "says how."
        )
    if num_failed:
        messages.print(f"{num_failed} of {len(files)} videos could not be read.")
    if num_failed or lost:
        raise typer.Exit(1)


def _warn(answer: Prediction) -> None:
    from filmstrip.app.cli.console import messages
    from filmstrip.text import printable

    for sentence in answer.misfits:
        messages.print(f"{printable(str(answer.path))}: {sentence}.", soft_wrap=True, markup=False)


def _print_json(answer: Prediction, top: int | None) -> None:
    from filmstrip.app.cli.console import show_json

    line = {
        "path": str(answer.path),
        "label": answer.label,
        "confidence": answer.confidence,
        "abstains": answer.abstains,
        "unfamiliar": answer.unfamiliar,
        "complete": answer.complete,
        "misfits": list(answer.misfits),
        "probs": answer.top(top or len(answer.probs)),
    }
    show_json(line)


def _print_line(answer: Prediction, top: int, width: int) -> None:
    from filmstrip.app.cli.console import output

    shown = "  ".join(f"{label} {prob:.2f}" for label, prob in answer.top(top).items())
    doubt = "  abstains" if answer.abstains else ""
    if answer.unfamiliar:
        doubt += "  unfamiliar"
    doubt += "" if answer.complete else "  incomplete"
    output.print(f"{answer.path!s:<{width}}  {shown}{doubt}", soft_wrap=True)


def _render(answer: Prediction, source: Path, out: Path) -> None:
    from filmstrip.app.cli.console import ConsoleReporter, messages
    from filmstrip.inference.render import render
    from filmstrip.video.probe import probe

    num_frames = probe(source, keep_broken=True).num_frames
    with ConsoleReporter().phase("Drawing labels", num_frames) as advance:
        render(source, answer, out, advance)
    messages.print(f"Labels drawn onto {out}.", soft_wrap=True)
