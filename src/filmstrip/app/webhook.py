"""Events posted to an address, beside the watching: a slow receiver holds nothing up."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from queue import Full, Queue
from threading import Thread

from filmstrip.errors import VideoError

MAX_WAITING = 100
"""How many events may wait for a slow receiver; a further one is left out, and said."""


class Webhook:
    """Posts each event as JSON, in order, from a thread of its own.

    Args:
        url: http or https.
        say: hears of what could not be delivered.
        timeout_seconds: how long the receiver may take to answer.

    Raises:
        VideoError: the address is of another sort.
    """

    def __init__(self, url: str, say: Callable[[str], None], timeout_seconds: float = 5.0) -> None:
        if not url.lower().startswith(("http://", "https://")):
            raise VideoError(
                f"--webhook {url}",
                "an address that begins with http:// or https://",
                "give the address that takes the events.",
            )
        self._url = url
        self._say = say
        self._timeout_seconds = timeout_seconds
        self._waiting: Queue[bytes | None] = Queue(MAX_WAITING)
        self._thread = Thread(target=self._deliver, daemon=True, name="webhook")
        self._thread.start()

    def post(self, event: Mapping[str, object]) -> None:
        """Hand in an event; this never waits."""
        try:
            self._waiting.put_nowait(json.dumps(event).encode())
        except Full:
            self._say(f"--webhook: {MAX_WAITING} events still wait; this one is left out")

    def close(self, seconds: float) -> None:
        """Give what still waits so many seconds to be delivered."""
        try:
            self._waiting.put(None, timeout=seconds)
        except Full:
            return
        self._thread.join(seconds)

    def _deliver(self) -> None:
        while (body := self._waiting.get()) is not None:
            request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
                self._url, body, {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=self._timeout_seconds):  # noqa: S310
                    pass
            except (OSError, HTTPException) as error:  # urllib's own errors are OSErrors
                self._say(f"--webhook: an event was not delivered ({error})")
