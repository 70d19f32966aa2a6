"""A camera with an RTSP server (RFC 2326) that sends H.264 over RTP (RFC 6184), for tests.

It speaks as much as a camera does: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN and keep-alives, a
password if asked for one, and RTP beside the requests on one TCP connection or by UDP. Timestamps
begin shortly before they wrap around, as they may with any camera.
"""

from __future__ import annotations

import base64
import io
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Literal

import av

Script = list[bytes | float | None]
"""What one viewer gets: MPEG-TS whose H.264 is sent, seconds of silence, or silence for good."""

_CLOCK_RATE = 90_000
_LARGEST_PAYLOAD = 1400
_FIRST_TIMESTAMP = 2**32 - _CLOCK_RATE // 2
_PAYLOAD_TYPE = 96
_SOURCE = 0x66696C6D


class RtspServer:
    """Serves each viewer the next of ``scripts``; the last one is served again after that.

    A script that ends says goodbye (RTCP BYE); ``close`` cuts all viewers off without a word.

    Args:
        scripts: for each connection that plays, in order.
        port: on this machine; a free one if 0.
        transport: the one that is offered; the other is refused, as firewalls and cameras do.
        credentials: ``user:password`` to ask for; none if empty.
        is_paced: send frames when they are due, not as fast as can be.
    """

    def __init__(
        self,
        scripts: list[Script],
        port: int = 0,
        transport: Literal["tcp", "udp"] = "tcp",
        credentials: str = "",
        is_paced: bool = False,
    ) -> None:
        self.scripts = scripts
        self.transport = transport
        self.credentials = credentials
        self.is_paced = is_paced
        self.num_plays = 0
        self.is_closing = threading.Event()
        self._connections: list[socket.socket] = []
        camera = self

        class Server(ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        class Handler(_Viewer):
            server_of = camera

            def setup(self) -> None:
                super().setup()
                camera._connections.append(self.connection)

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.address = f"rtsp://127.0.0.1:{self.port}/live"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Be gone, as if unplugged."""
        self.is_closing.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Viewer(StreamRequestHandler):
    """One viewer's connection."""

    server_of: RtspServer

    def setup(self) -> None:
        super().setup()
        self._lock = threading.Lock()
        self._is_gone = threading.Event()
        self._udp: list[tuple[socket.socket, int]] = []  # for RTP and RTCP, with the viewer's port

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            while request := self._request():
                method, headers = request
                answer = getattr(self, f"_{method.lower()}", self._nothing)
                if self.server_of.credentials and not self._may_enter(headers):
                    answer = self._unauthorised
                answer(headers)
                if method == "TEARDOWN":
                    break
        self._is_gone.set()

    def _request(self) -> tuple[str, dict[str, str]] | None:
        """Method and headers of the next request; the viewer's own RTCP is passed over."""
        while (first := self.rfile.read(1)) == b"$":
            _, size = struct.unpack(">BH", self.rfile.read(3))
            self.rfile.read(size)
        if not first:
            return None
        lines = [first + self.rfile.readline()]
        while line := self.rfile.readline().strip():
            lines.append(line)
        method = lines[0].decode().split()[0]
        pairs = (line.decode().partition(":") for line in lines[1:])
        return method, {name.lower(): value.strip() for name, _, value in pairs}

    def _reply(
        self, headers: dict[str, str], *more: str, status: str = "200 OK", body: str = ""
    ) -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {headers['cseq']}", *more]
        lines += [f"Content-Length: {len(body)}"] if body else []
        with self._lock:
            self.wfile.write("\r\n".join([*lines, "", body]).encode())

    def _may_enter(self, headers: dict[str, str]) -> bool:
        expected = base64.b64encode(self.server_of.credentials.encode()).decode()
        return headers.get("authorization") == f"Basic {expected}"

    def _unauthorised(self, headers: dict[str, str]) -> None:
        asking = 'WWW-Authenticate: Basic realm="camera"'
        self._reply(headers, asking, status="401 Unauthorized")

    def _nothing(self, headers: dict[str, str]) -> None:
        self._reply(headers)  # GET_PARAMETER, TEARDOWN

    def _options(self, headers: dict[str, str]) -> None:
        self._reply(headers, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")

    def _describe(self, headers: dict[str, str]) -> None:
        sdp = (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
            f"m=video 0 RTP/AVP {_PAYLOAD_TYPE}\r\n"
            f"a=rtpmap:{_PAYLOAD_TYPE} H264/{_CLOCK_RATE}\r\n"
            f"a=fmtp:{_PAYLOAD_TYPE} packetization-mode=1\r\na=control:track\r\n"
        )
        self._reply(headers, "Content-Type: application/sdp", body=sdp)

    def _setup(self, headers: dict[str, str]) -> None:
        asked = headers["transport"]
        is_tcp = "TCP" in asked
        if is_tcp != (self.server_of.transport == "tcp"):
            self._reply(headers, status="461 Unsupported Transport")
            return
        given = "RTP/AVP/TCP;unicast;interleaved=0-1"
        if not is_tcp:
            ports = [int(port) for port in re.findall(r"client_port=(\d+)-(\d+)", asked)[0]]
            self._udp = [(socket.socket(type=socket.SOCK_DGRAM), port) for port in ports]
            for sender, _ in self._udp:
                sender.bind(("127.0.0.1", 0))
            own = "-".join(str(sender.getsockname()[1]) for sender, _ in self._udp)
            given = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={own}"
        self._reply(headers, f"Transport: {given}", "Session: 1")

    def _play(self, headers: dict[str, str]) -> None:
        camera = self.server_of
        script = camera.scripts[min(camera.num_plays, len(camera.scripts) - 1)]
        camera.num_plays += 1
        self._reply(headers, "Session: 1", "Range: npt=0.000-")
        threading.Thread(target=self._perform, args=(script,), daemon=True).start()

    def _perform(self, script: Script) -> None:
        with suppress(OSError):
            timestamp, number = _FIRST_TIMESTAMP, 0
            self._send(1, _sender_report(timestamp))
            for part in script:
                if not isinstance(part, bytes):
                    self._wait(part)
                    continue
                ticks = before = 0
                for ticks, unit in access_units(part):
                    if self.server_of.is_paced:
                        self._wait((ticks - before) / _CLOCK_RATE)
                    before = ticks
                    for payload, is_last in _payloads(unit):
                        self._send(0, _rtp(payload, is_last, number, timestamp + ticks))
                        number += 1
                timestamp += ticks + _CLOCK_RATE // 10
            goodbye = struct.pack(">BBHI", 0x81, 203, 1, _SOURCE)
            self._send(1, _sender_report(timestamp) + goodbye)

    def _wait(self, seconds: float | None) -> None:
        if self.server_of.is_closing.wait(seconds) or self._is_gone.is_set():
            raise BrokenPipeError

    def _send(self, channel: int, packet: bytes) -> None:
        if self._udp:
            sender, port = self._udp[channel]
            sender.sendto(packet, ("127.0.0.1", port))
            return
        with self._lock:
            self.wfile.write(struct.pack(">BBH", 0x24, channel, len(packet)) + packet)


def access_units(transport_stream: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Of each frame its ticks since the first, on RTP's clock, and its H.264 units."""
    with av.open(io.BytesIO(transport_stream)) as container:
        first: int | None = None
        for packet in container.demux(video=0):
            if not packet.size:
                continue
            first = packet.pts if first is None else first
            yield packet.pts - first, [u for u in re.split(b"\0?\0\0\1", bytes(packet)) if u]


def _payloads(units: list[bytes]) -> Iterator[tuple[bytes, bool]]:
    """What the packets of one frame carry, and whether each is the last: RFC 6184, 5.6 and 5.8."""
    payloads: list[bytes] = []
    for unit in units:
        if len(unit) <= _LARGEST_PAYLOAD:
            payloads.append(unit)
            continue
        indicator, kind = unit[0] & 0xE0 | 28, unit[0] & 0x1F
        pieces = [unit[at : at + _LARGEST_PAYLOAD] for at in range(1, len(unit), _LARGEST_PAYLOAD)]
        for place, piece in enumerate(pieces):
            edges = 0x80 * (place == 0) | 0x40 * (place == len(pieces) - 1)
            payloads.append(bytes([indicator, edges | kind]) + piece)
    for place, payload in enumerate(payloads):
        yield payload, place == len(payloads) - 1


def _sender_report(timestamp: int) -> bytes:
    """RTCP that every compound begins with, RFC 3550, 6.4.1."""
    ntp_seconds = int(time.time()) + 2_208_988_800
    return struct.pack(">BBHIIIIII", 0x80, 200, 6, _SOURCE, ntp_seconds, 0, timestamp % 2**32, 0, 0)


def _rtp(payload: bytes, is_last_of_frame: bool, number: int, timestamp: int) -> bytes:
    marked = 0x80 * is_last_of_frame | _PAYLOAD_TYPE
    header = struct.pack(">BBHII", 0x80, marked, number % 2**16, timestamp % 2**32, _SOURCE)
    return header + payload
