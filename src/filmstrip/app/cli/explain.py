"""``filmstrip explain``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmstrip.text import to_json

if TYPE_CHECKING:
    from filmstrip.inference.explain import Explanation


class _Method(StrEnum):
    INTEGRATED_GRADIENTS = "integrated-gradients"
    GRAD_CAM = "grad-cam"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: `filmstrip explain run clip.mp4 --out why`")(explain)


def explain(
    run: Annotated[Path, typer.Argument(help="A run folder or a model folder.")],
    video: Annotated[
        str,
        typer.Argument(
            help="A video file, the http or https address of one, or - for standard input."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for strip.png, overlay.mp4 and explanation.json; the video's name with "
            "_explained behind it, in the current folder, if left out."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="The class to explain; the most probable one if left out.")
    ] = None,
    method: Annotated[
        _Method,
        typer.Option(
            help="Integrated gradients add up to what the clip has over a plain one, and are the "
            "more faithful; Grad-CAM is coarser, and well known."
        ),
    ] = _Method.INTEGRATED_GRADIENTS,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the content of explanation.json.")
    ] = False,
) -> None:
    """Show which frames of a clip an answer rests on, and which places in them.

    What is orange speaks for the class, what is blue against it. This tells what the model looked
    at, right or wrong; it does not tell what is true, nor what the model would say of another clip.
    """
    from filmstrip.app.cli.console import messages, output, show_json
    from filmstrip.inference.explain import check_installed
    from filmstrip.inference.explain import explain as explain_video
    from filmstrip.inference.explain_pictures import write_overlay, write_strip
    from filmstrip.model.classifier import load_classifier
    from filmstrip.storage import replacing
    from filmstrip.text import printable
    from filmstrip.video.spool import file_stem, local_file, shown_name

    check_installed()
    classifier = load_classifier(run)
    folder = out or Path(f"{file_stem(video)}_explained")
    spec = classifier.spec
    with local_file(video, note=lambda words: messages.print(words, soft_wrap=True)) as file:
        explanation = explain_video(classifier, file, label, method.value)
        named = replace(explanation.answer, path=shown_name(video))
        explanation = replace(explanation, answer=named)
        content = _content(explanation)
        if explanation.answer.missing is not None:
            words = f"Incomplete: {shown_name(video)}: {explanation.answer.missing}."
            messages.print(words, soft_wrap=True, markup=False)
        with replacing(folder / "explanation.json") as temporary:
            temporary.write_text(to_json(content, indent=2) + "\n", encoding="utf-8")
        write_strip(explanation, file, spec.sampling, spec.framing, folder / "strip.png")
        write_overlay(explanation, file, spec.framing, folder / "overlay.mp4")
    for sentence in explanation.answer.misfits:
        messages.print(f"{printable(shown_name(video))}: {sentence}.", soft_wrap=True, markup=False)
    if as_json:
        show_json(content)
    else:
        output.print(_sentence(explanation), soft_wrap=True)
    messages.print(
        f"Written to {folder}: strip.png, overlay.mp4, explanation.json.",
        soft_wrap=True,
    )


def _content(explanation: Explanation) -> dict[str, object]:
    return {
        "path": str(explanation.answer.path),
        "label": explanation.label,
        "probability": explanation.answer.probs[explanation.label],
        "answer": explanation.answer.label,
        "complete": explanation.answer.complete,
        "explains": "plain view",
        "views": explanation.views,
        "method": explanation.method,
        "margin": explanation.margin,
        "plain_margin": explanation.plain_margin,
        "frames": [
            {"time_seconds": round(float(at), 3), "contribution": float(adds)}
            for at, adds in zip(
                explanation.times_seconds, explanation.frame_contributions, strict=True
            )
        ],
    }


def _sentence(explanation: Explanation) -> str:
    ranked = explanation.frame_contributions.argsort()[::-1][:3]
    times = ", ".join(f"{explanation.times_seconds[number]:.2f} s" for number in ranked)
    probability = explanation.answer.probs[explanation.label]
    view = "  (plain view only)" if explanation.averages_views else ""
    return f"{explanation.label} {probability:.2f}{view}  most for it: the frames at {times}"
