"""The command line, one file for each group of commands.

Heavy libraries are imported inside the commands, so that ``filmstrip --help`` answers at once.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from filmstrip.app.cli import (
    cache,
    compare,
    compare_runs,
    data,
    demo,
    doctor,
    explain,
    export,
    extract,
    predict,
    recipes,
    report,
    split,
    stream,
    timeline,
    train,
    tune,
)
from filmstrip.app.cli.console import show_error
from filmstrip.errors import FilmstripError

app = typer.Typer(
    name="filmstrip",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From a folder of labelled videos to a trustworthy classifier: a CNN sees each frame, "
    "a recurrent network reads the sequence.",
    epilog="Start with: `filmstrip demo --out demo`",
)
for group in (
    train,
    predict,
    explain,
    stream,
    timeline,
    export,
    compare,
    compare_runs,
    report,
    demo,
    recipes,
    doctor,
    split,
    data,
    extract,
    tune,
    cache,
):
    group.add_to(app)


def main() -> None:
    """Run the command line; a person's mistake ends in a message, never in a traceback."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text
    try:
        app()
    except FilmstripError as error:
        show_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
