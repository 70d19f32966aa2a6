"""What commands print: errors in three parts, progress bars, tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from filmstrip.errors import FilmstripError
from filmstrip.training.reporter import Advance, Reporter

output = Console(highlight=False)
"""Answers, for people and for pipes."""

messages = Console(stderr=True, highlight=False)
"""Progress, notes and errors: never mixed into what a program parses."""


def show_error(error: FilmstripError) -> None:
    """Print the three parts of an error to standard error."""
    messages.print(f"[bold red]Error:[/] {escape(error.given)}", soft_wrap=True)
    messages.print(f"[bold]Expected:[/] {escape(error.expected)}", soft_wrap=True)
    messages.print(f"[bold]Next:[/] {escape(error.remedy)}", soft_wrap=True)


class ConsoleReporter(Reporter):
    """Shows phases as progress bars and notes as lines, on standard error."""

    @contextmanager
    def phase(self, title: str, num_steps: int) -> Iterator[Advance]:
        """Show a bar that moves on with each call of what is yielded."""
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[words]}"),
            console=messages,
        ) as progress:
            task = progress.add_task(f"{title:<21}", total=num_steps, words="")

            def advance(words: str) -> None:
                progress.update(task, advance=1, words=words)

            yield advance

    def note(self, text: str) -> None:
        """Print a sentence."""
        style = "bold yellow" if text.startswith("WARNING") else ""
        messages.print(escape(text), style=style, soft_wrap=True)
