"""``filmstrip export``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from filmstrip.inference.exporting.report import Report


class FormatName(StrEnum):
    """Of the graphs."""

    onnx = "onnx"
    torch_export = "torch-export"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: `filmstrip export run --format onnx --out exported`")(export)


def export(
    run: Annotated[Path, typer.Argument(help="A run folder or a model folder.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder for the graphs.")],
    file_format: Annotated[
        FormatName,
        typer.Option(
            "--format",
            help="onnx: for ONNX Runtime and others, with a runner of 30 lines. torch-export: "
            "PyTorch's own, .pt2.",
        ),
    ] = FormatName.onnx,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Also write eight-bit graphs, calibrated on training clips, and measure on the "
            "validation part what they cost in accuracy. ONNX only.",
        ),
    ] = False,
    num_clips: Annotated[
        int, typer.Option("--clips", min=1, help="How many of the run's clips to check on.")
    ] = 8,
) -> None:
    """Turn a model into graphs that run without Filmstrip, checked against it.

    A graph for clips; for models that can be streamed, a graph for one more frame; and graphs for
    what comes before: which frames are looked at, and how each becomes a square. They are asked
    about the run's own clips, and the folder appears only if every probability is within 1e-4 of
    PyTorch's. report.md holds the differences and the latency of each, side by side.
    """
    from filmstrip.app.cli.console import ConsoleReporter
    from filmstrip.inference.exporting.export import export_run

    report = export_run(run, out, file_format.value, int8, num_clips, ConsoleReporter())
    _print_summary(report, out)


def _print_summary(report: Report, out: Path) -> None:
    from filmstrip.app.cli.console import output
    from filmstrip.inference.exporting.report import int8_sentence

    worst = max(agreement.largest_probability for agreement in report.agreements)
    lines = [
        f"{out}: {', '.join(report.sizes_bytes)}.",
        f"Checked on {report.checked_on}: probabilities within {worst:.1e} of PyTorch's.",
    ]
    for each in report.latencies:
        lines.append(
            f"{each.graph}: {each.graph_milliseconds:.1f} ms "
            f"(PyTorch {each.torch_milliseconds:.1f} ms)"
        )
    if report.why_no_step:
        lines.append(f"No step graph: {report.why_no_step}.")
    if report.int8:
        lines.append(int8_sentence(report.int8))
    if report.file_format == "onnx":
        lines.append(f"Try: python {out / 'run.py'} VIDEO")
    for line in lines:
        output.print(line, soft_wrap=True)
