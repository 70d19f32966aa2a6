"""What long work tells of itself. This reporter is silent; the command line shows bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[str], None]
"""Called after each step with a few words on where the work stands."""


class Reporter:
    """Hears of phases of known length, and of notes; tells nobody."""

    @contextmanager
    def phase(self, title: str, num_steps: int) -> Iterator[Advance]:
        """Enter a phase; call what it yields after each of its steps."""
        del title, num_steps
        yield lambda _words: None

    def note(self, text: str) -> None:
        """Hear a sentence that the user should read."""
