"""Events posted to an address from a thread of their own: a slow receiver holds nothing up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from queue import Full, Queue
from threading import Thread

import httpx2

from filmstrip.errors import VideoError

MAX_WAITING = 100
"""How many events may wait for a slow receiver; further ones are left out, and counted."""

_HEADERS = {"Content-Type": "application/json"}


class Webhook:
    """Posts each event as JSON, in order, each within a total time.

    An event is delivered once the receiver answers with a status from 200 to 299. Redirects are
    not followed: a client that follows one repeats the request as a GET without the event.

    Args:
        url: http or https.
        say: receives a line about each event that is not delivered.
        timeout_seconds: for the whole of one post, from the look-up of the host's address to the
            last header of the answer.

    Raises:
        VideoError: the address is malformed or of another kind.
    """

    def __init__(self, url: str, say: Callable[[str], None], timeout_seconds: float = 5.0) -> None:
        self._url = parse_url(url)
        self._say = say
        self._timeout_seconds = timeout_seconds
        self._waiting: Queue[bytes | None] = Queue(MAX_WAITING)
        self._num_posted = self._num_delivered = self._num_left_out = 0
        self._thread = Thread(target=self._deliver_all, daemon=True, name="webhook")
        self._thread.start()

    def post(self, event: Mapping[str, object]) -> None:
        """Hand in an event; this never waits."""
        self._num_posted += 1
        try:
            self._waiting.put_nowait(json.dumps(event).encode())
        except Full:
            if not self._num_left_out:
                self._say(
                    f"--webhook: {MAX_WAITING} events are waiting; further ones are left out until "
                    "the receiver is faster"
                )
            self._num_left_out += 1

    def close(self, seconds: float) -> int:
        """Deliver what is still waiting, for at most so many seconds.

        Returns:
            How many of all events were not delivered; a line says so.
        """
        deadline = time.monotonic() + seconds
        try:
            self._waiting.put(None, timeout=seconds)
            self._thread.join(max(deadline - time.monotonic(), 0))
        except Full:
            pass
        num_lost = self._num_posted - self._num_delivered
        if num_lost:
            self._say(
                f"--webhook: {num_lost} of {self._num_posted} events were not delivered"
                + (f", {self._num_left_out} of them left out" if self._num_left_out else "")
            )
        return num_lost

    def _deliver_all(self) -> None:
        while (body := self._waiting.get()) is not None:
            try:
                asyncio.run(self._deliver(body))
            except Exception as error:  # whatever it is: the next event may be delivered
                reason = str(error) or type(error).__name__
                self._say(f"--webhook: an event was not delivered ({reason})")
            else:
                self._num_delivered += 1

    async def _deliver(self, body: bytes) -> None:
        try:
            # The client's own limits hold for one read each, so a receiver that sends a byte now
            # and then would never reach them.
            async with asyncio.timeout(self._timeout_seconds):
                await self._post(body)
        except TimeoutError:
            raise _NotDeliveredError(f"no answer within {self._timeout_seconds:g} s") from None

    async def _post(self, body: bytes) -> None:
        async with (
            httpx2.AsyncClient(timeout=None, follow_redirects=False) as client,
            client.stream("POST", self._url, content=body, headers=_HEADERS) as answer,
        ):
            status = f"{answer.status_code} {answer.reason_phrase}".strip()
            if answer.is_redirect:
                where = answer.headers.get("Location", "nowhere")
                raise _NotDeliveredError(f"redirected to {where} ({status}): give that address")
            if not answer.is_success:
                raise _NotDeliveredError(f"the receiver answered {status}")


class _NotDeliveredError(Exception):
    """The receiver did not take an event, with the reason in words."""


def parse_url(url: str) -> httpx2.URL:
    """Return the address of a receiver.

    Raises:
        VideoError: it is malformed, or neither http nor https.
    """
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        reason = f" ({error})"
    else:
        reason = ""
        has_host = bool(parsed.host) and "%" not in parsed.host  # such as a space
        has_port = parsed.port is None or 0 < parsed.port < 65536
        if parsed.scheme in ("http", "https") and has_host and has_port:
            return parsed
    raise VideoError(
        f"--webhook {url}: cannot be posted to{reason}",
        "an address such as http://localhost:8000/events or https://example.org/hook",
        "give the address that takes the events.",
    )
