"""The command line, one file for each group of commands.

Heavy libraries are imported inside the commands, so that ``filmstrip --help`` answers at once.
"""

from __future__ import annotations

import atexit
import errno
import os
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
from filmstrip.errors import FilmstripError, StorageError

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

_FULL_OUTPUT = StorageError(
    "the output could not be written, the disk is full",
    "room for what the command prints",
    "free some space, then run the same command again: what was finished is kept.",
)


def main() -> None:
    """Run the command line; a person's mistake ends in a message, never in a traceback."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text
    code = 1

    def leave() -> None:
        nonlocal code
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # what was printed before has told of it
            code = code or 1
        os._exit(code)

    # Taking down torch's libraries, which the system frees anyway, takes seconds and 100 MB.
    # Registered first, it comes last: what libraries register from here on is done before.
    atexit.register(leave)
    try:
        app()
    except FilmstripError as error:
        show_error(error)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        show_error(_FULL_OUTPUT)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as ended:
        code = int(ended.code or 0)
    sys.exit(code)
