"""The command line, one file for each group of commands.

Heavy libraries are imported inside the commands, so that ``filmstrip --help`` answers at once.
"""

from __future__ import annotations

import atexit
import errno
import os
import select
import sys
from io import TextIOWrapper

import typer
from rich.text import Text
from typer.exceptions import TyperException

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
from filmstrip.app.cli.console import CLOSED_OUTPUT_CODE, messages, show_error, silence
from filmstrip.errors import FilmstripError, ResourceError, StorageError, lacks_memory

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

_NO_MEMORY = ResourceError(
    "the command needs more memory than this machine has free, or than its limits allow",
    "memory for the model and for a few decoded frames",
    "end other programs, raise the limit ('ulimit -v', or that of the container), or give fewer or "
    "smaller videos at once; what was finished is kept.",
)


_IMPOSSIBLE_PATH = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP)


def main() -> None:
    """Run the command line; a person's mistake ends in a message, never in a traceback."""
    _open_standard_streams()
    standard_output = os.dup(1)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text
    code = 1

    def leave() -> None:
        nonlocal code
        for file in (sys.stdout, sys.stderr):
            try:
                file.flush()
            except BrokenPipeError:
                code = code or CLOSED_OUTPUT_CODE
                silence(file.fileno())
            except OSError:  # what was printed before has told of it
                code = code or 1
        os._exit(code)

    # Taking down torch's libraries, which the system frees anyway, takes seconds and 100 MB.
    # Registered first, it comes last: what libraries register from here on is done before.
    atexit.register(leave)
    try:
        code = app(standalone_mode=False) or 0
    except FilmstripError as error:
        show_error(error)
    except TyperException as error:
        code = _show_usage_error(error)
    except OSError as error:
        if lacks_memory(error):
            show_error(_NO_MEMORY)
        elif error.errno == errno.ENOSPC:
            show_error(_FULL_OUTPUT)
        elif error.errno in _IMPOSSIBLE_PATH and error.filename is not None:
            show_error(_impossible_path(error))
        else:
            raise
    except (MemoryError, RuntimeError, ImportError) as error:
        if not lacks_memory(error):
            raise
        show_error(_NO_MEMORY)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as ended:
        # Commands end with typer.Exit. Our consoles raise this with their own code when the reader
        # is gone; typer raises it with 1 after any broken pipe, also after one between processes.
        if ended.code != CLOSED_OUTPUT_CODE and not _has_lost_reader(standard_output):
            raise ended.__context__ or ended from None
        code = CLOSED_OUTPUT_CODE
    sys.exit(code)


def _impossible_path(error: OSError) -> FilmstripError:
    return FilmstripError(
        f"{error.filename}: cannot be used ({error.strerror})",
        "a path that the disk can have and this user may use",
        "check its spelling, its length and its permissions.",
    )


def _show_usage_error(error: TyperException) -> int:
    """Show what is wrong with the options and arguments; return the exit code."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # the help is already shown
        return error.exit_code
    if context is not None:
        messages.print(context.get_usage(), soft_wrap=True)
        messages.print(f"Try '{context.command_path} --help' for help.", soft_wrap=True)
    messages.print(Text("Error:", "bold red"), error.format_message(), soft_wrap=True)
    return error.exit_code


def _open_standard_streams() -> None:
    """Open what the caller closed, before a file of ours gets its descriptor.

    A closed standard output becomes a pipe without a reader: printing to it ends the program as
    after ``| head -1``. Standard input is empty then, and messages go nowhere.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(_on(0, os.open(os.devnull, os.O_RDONLY)))
    if sys.stdout is None:
        reading, writing = os.pipe()
        os.close(reading)
        sys.stdout = os.fdopen(_on(1, writing), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(_on(2, os.open(os.devnull, os.O_WRONLY)), "w")


def _has_lost_reader(descriptor: int) -> bool:
    """Return whether ``descriptor`` is a pipe or socket that nobody reads any more."""
    poll = select.poll()
    poll.register(descriptor, 0)  # POLLERR and POLLHUP are always reported
    return bool(poll.poll(0))


def _on(descriptor: int, opened: int) -> int:
    """Move an open file to ``descriptor``, so that child processes inherit it."""
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    else:
        os.set_inheritable(descriptor, True)
    return descriptor
