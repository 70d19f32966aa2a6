"""``filmstrip report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: `filmstrip report run --out run.html`")(report)


def report(
    run: Annotated[Path, typer.Argument(help="A finished run folder.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The page to write; RUN/report.html if left out.")
    ] = None,
) -> None:
    """Write all that a reviewer asks for into one HTML page, as `train` does at its end.

    The page holds data, split, leaks, figures with intervals and baselines, plots, the worst
    mistakes as small videos, and the command that does it again. It needs no network and no other
    file. What cannot be shown any more, such as a video that is gone, the page itself says.
    """
    from filmstrip.app.cli.console import ConsoleReporter, messages
    from filmstrip.app.report.page import write_report

    page = write_report(run, out, ConsoleReporter())
    messages.print(f"Report: {page}", soft_wrap=True, markup=False)
