"""``filmstrip report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filmstrip.errors import FilmstripError

if TYPE_CHECKING:
    from filmstrip.training.reporter import Reporter


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
    messages.print(f"Report: {page}", soft_wrap=True)


def write_report_if_possible(run: Path, reporter: Reporter) -> None:
    """Write the page of a run that has just ended; that it cannot be written ends no training."""
    from filmstrip.app.cli.console import show_error
    from filmstrip.app.report.page import write_report

    try:
        write_report(run, reporter=reporter)
    except FilmstripError as error:
        show_error(error)
        reporter.note(f"The run is finished; 'filmstrip report {run}' writes its page later.")
