from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from filmstrip.app import webhook
from filmstrip.app.webhook import Webhook
from filmstrip.errors import VideoError

Answer = Callable[[socket.socket, bytes], None]
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """A server on this machine that answers each connection by a function of the test."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[bytes] = []
        self.is_closing = threading.Event()
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/events"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.is_closing.set()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as lines:
            head = b"".join(iter(lines.readline, b"\r\n"))
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            body = lines.read(length)
            self.requests.append(head + b"\r\n" + body)
            self._answer(connection, body)


@pytest.fixture
def receive() -> Iterator[Callable[[Answer], Receiver]]:
    receivers: list[Receiver] = []

    def start(answer: Answer) -> Receiver:
        receivers.append(Receiver(answer))
        return receivers[-1]

    yield start
    for receiver in receivers:
        receiver.close()


def respond(text: bytes) -> Answer:
    return lambda connection, _body: connection.sendall(text)


def deliver(url: str, *events: dict[str, object], timeout_seconds: float = 20.0):
    said: list[str] = []
    hook = Webhook(url, said.append, timeout_seconds)
    for event in events:
        hook.post(event)
    return hook.close(60), said


def test_webhook_posts_events_as_json_in_order(receive) -> None:
    receiver = receive(respond(OK))
    assert deliver(receiver.url, {"n": 1}, {"n": 2}) == (0, [])
    heads, bodies = zip(*(each.split(b"\r\n\r\n") for each in receiver.requests), strict=True)
    assert [json.loads(body) for body in bodies] == [{"n": 1}, {"n": 2}]
    for head in heads:
        assert head.startswith(b"POST /events HTTP/1.1\r\n")
        assert b"content-type: application/json" in head.lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_webhook_reports_a_redirect_and_does_not_follow_it(receive, status: int) -> None:
    target = receive(respond(OK))
    answer = f"HTTP/1.1 {status} Moved\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n"
    num_lost, said = deliver(receive(respond(answer.encode())).url, {"n": 1})
    assert num_lost == 1
    assert f"redirected to {target.url} ({status} Moved)" in said[0]
    assert said[-1] == "--webhook: 1 of 1 events were not delivered"
    assert target.requests == []


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 500 Broken\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n", b"", b"?\r\n\r\n"]
)
def test_webhook_counts_answers_that_are_no_success(receive, answer: bytes) -> None:
    num_lost, said = deliver(receive(respond(answer)).url, {"n": 1}, {"n": 2})
    assert num_lost == 2
    assert [line.startswith("--webhook: an event was not delivered (") for line in said] == [
        True,
        True,
        False,
    ]


def test_webhook_counts_events_without_a_receiver() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    num_lost, said = deliver(f"http://127.0.0.1:{port}/", {"n": 1})
    assert num_lost == 1
    assert len(said) == 2


@pytest.mark.parametrize("is_dripping", [True, False])
def test_webhook_gives_up_after_a_total_time(receive, is_dripping: bool) -> None:
    def answer(connection: socket.socket, body: bytes) -> None:
        if body == b'{"n": 2}':
            connection.sendall(OK)
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not receiver.is_closing.wait(0.02):
            if is_dripping:
                connection.sendall(b"x")

    receiver = receive(answer)
    num_lost, said = deliver(receiver.url, {"n": 1}, {"n": 2}, timeout_seconds=0.5)
    assert num_lost == 1
    assert said[0] == "--webhook: an event was not delivered (no answer within 0.5 s)"


def test_webhook_does_not_wait_for_the_body_of_the_answer(receive) -> None:
    def answer(connection: socket.socket, _body: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        receiver.is_closing.wait()

    receiver = receive(answer)
    assert deliver(receiver.url, {"n": 1}) == (0, [])


def test_webhook_bounds_what_waits_and_counts_what_is_left_out(
    receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "MAX_WAITING", 3)
    may_answer, has_begun = threading.Event(), threading.Event()

    def answer(connection: socket.socket, _body: bytes) -> None:
        has_begun.set()
        may_answer.wait()
        connection.sendall(OK)

    receiver = receive(answer)
    said: list[str] = []
    hook = Webhook(receiver.url, said.append, 60)
    hook.post({"n": 0})
    assert has_begun.wait(60)
    for number in range(1, 11):
        hook.post({"n": number})
    assert len(said) == 1
    may_answer.set()
    assert hook.close(60) == 7
    assert said[1] == "--webhook: 7 of 11 events were not delivered, 7 of them left out"
    bodies = [json.loads(each.rpartition(b"\r\n\r\n")[2]) for each in receiver.requests]
    assert bodies == [{"n": number} for number in range(4)]


def test_webhook_counts_what_still_waits_at_the_end(receive) -> None:
    receiver = receive(lambda _connection, _body: receiver.is_closing.wait())
    said: list[str] = []
    hook = Webhook(receiver.url, said.append, 60)
    for number in range(5):
        hook.post({"n": number})
    assert hook.close(0.1) == 5
    assert said == ["--webhook: 5 of 5 events were not delivered"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "events",
        "http:",
        "http://",
        "http:///events",
        "http:/host/events",
        "http://a b/",
        "http://[::1",
        "http://host:port/",
        "http://host:99999/",
        "http://host:0/",
        "http://h\r\nX-Evil: 1/",
        "http://\x1b]0;x\x07/",
        "ftp://host/",
        "file:///etc/passwd",
    ],
)
def test_webhook_refuses_a_malformed_address_at_the_start(url: str) -> None:
    num_threads = threading.active_count()
    with pytest.raises(VideoError, match="--webhook") as caught:
        Webhook(url, lambda _line: None)
    assert "http://" in caught.value.expected
    assert threading.active_count() == num_threads
