"""What commands print: errors in three parts, progress bars, tables."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Column
from rich.text import Text

from filmstrip.errors import FilmstripError
from filmstrip.text import printable, to_json
from filmstrip.training.reporter import Advance, Reporter

CLOSED_OUTPUT_CODE = 141
"""The exit code after the reader of the output is gone: 128 and the number of SIGPIPE."""


class Screen(Console):
    r"""A rich console on which names of files and classes cannot act.

    A ``str`` is one line without markup: control characters and newlines in it are shown as
    escapes. For several lines print ``Text``, in which only ``\n`` is kept. A reader that is gone,
    as in ``filmstrip predict … | head -1``, ends the program quietly.

    Args:
        stderr: write to standard error.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string, also of a table's cell, to text on one line."""
        return super().render_str(printable(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render anything that can be printed; its own text is escaped, rich's codes are not."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=printable(segment.text, keep_newlines=True))

    def on_broken_pipe(self) -> NoReturn:
        """End the program; what is still buffered goes nowhere."""
        self.quiet = True
        with suppress(OSError):  # a file without a descriptor
            silence(self.file.fileno())
        raise SystemExit(CLOSED_OUTPUT_CODE)


def silence(descriptor: int) -> None:
    """Let an open file descriptor lead nowhere, so that a last flush does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


output = Screen()
"""Answers, for people and for pipes."""

messages = Screen(stderr=True)
"""Progress, notes and errors: never mixed into what a program parses."""

SECONDS_BETWEEN_LINES = 60
"""How often a log file hears of a phase that goes on."""


def show_error(error: FilmstripError) -> None:
    """Print the three parts of an error to standard error."""
    messages.print(Text("Error:", "bold red"), error.given, soft_wrap=True)
    messages.print(Text("Expected:", "bold"), error.expected, soft_wrap=True)
    messages.print(Text("Next:", "bold"), error.remedy, soft_wrap=True)


def show_json(content: object) -> None:
    """Print one JSON object on one line, in ASCII, so that every pipe and parser takes it."""
    output.print(to_json(content), soft_wrap=True)


class ConsoleReporter(Reporter):
    """Shows phases and notes on standard error: bars on a terminal, lines in a log file."""

    @contextmanager
    def phase(self, title: str, num_steps: int) -> Iterator[Advance]:
        """Show how far the phase is; it moves on with each call of what is yielded."""
        shown = _bar if messages.is_interactive else _lines
        with shown(title, num_steps) as advance:
            yield advance

    def note(self, text: str) -> None:
        """Print a sentence."""
        style = "bold yellow" if text.startswith("WARNING") else ""
        messages.print(text, style=style, soft_wrap=True)


@contextmanager
def _bar(title: str, num_steps: int) -> Iterator[Advance]:
    """A bar as wide as the terminal allows; the words give way first where room is short."""
    room = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=min(max(messages.width // 6, 4), 40)),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[words]}", markup=False, table_column=room),
        console=messages,
        expand=True,
    ) as progress:
        task = progress.add_task(f"{title:<21}", total=num_steps, words="")

        def advance(words: str) -> None:
            progress.update(task, advance=1, words=printable(words))

        yield advance


@contextmanager
def _lines(title: str, num_steps: int) -> Iterator[Advance]:
    """A line when the phase ends, and one each minute until then."""
    start = told = time.monotonic()
    num_done, last_words = 0, ""

    def tell() -> None:
        elapsed = timedelta(seconds=round(time.monotonic() - start))
        words = f", {last_words}" if last_words else ""
        messages.print(f"{title}: {num_done}/{num_steps} in {elapsed}{words}", soft_wrap=True)

    def advance(words: str) -> None:
        nonlocal num_done, last_words, told
        num_done, last_words = num_done + 1, words
        if time.monotonic() - told > SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            tell()

    try:
        yield advance
    finally:
        tell()
