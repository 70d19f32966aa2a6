"""Addresses and pipes become files, within bounds, from real servers."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from filmstrip.errors import NoVideoError, ResourceError, VideoError
from filmstrip.video.decode import iterate_frames
from filmstrip.video.spool import (
    SpoolLimits,
    file_name,
    file_stem,
    local_file,
    needs_spooling,
    shown_name,
)

Serve = Callable[..., Any]
WebServe = Callable[..., str]


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends what ``answers`` says for a path: headers, parts, and seconds to wait between them."""

    answers: dict[str, tuple[int, dict[str, str], list[bytes | float]]]

    def do_GET(self) -> None:
        status, headers, parts = self.answers[self.path]
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for part in parts:
            if isinstance(part, float):
                time.sleep(part)
            else:
                try:
                    self.wfile.write(part)
                except OSError:
                    return

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[WebServe]:
    """``web({"/path": (status, headers, parts)})``: the address of a real server."""
    servers = []

    def start(answers: dict[str, Any]) -> str:
        handler = type("OwnHandler", (Handler,), {"answers": answers})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _length(content: bytes) -> dict[str, str]:
    return {"Content-Length": str(len(content))}


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("clip.mp4", False),
        (Path("http:/x/clip.mp4"), False),
        ("-", True),
        ("http://x/clip.mp4", True),
        ("HTTPS://x/clip.mp4", True),
        ("rtsp://x/live", True),
        ("camera:0", True),
    ],
)
def test_needs_spooling_tells_addresses_from_paths(source: str | Path, needed: bool) -> None:
    assert needs_spooling(source) is needed


def test_names_of_sources_hold_no_password_and_no_folder() -> None:
    assert shown_name("http://me:secret@host/a.mp4") == "http://host/a.mp4"
    assert file_stem("http://host/a%20b/../c%2Fd.mp4?x=1") == "d"
    assert file_stem("-") == "stdin"
    assert "/" not in file_name("http://host/../../etc/passwd")
    assert file_name("http://host/a.mp4?1") != file_name("http://host/a.mp4?2")


@pytest.mark.parametrize("states_length", [True, False])
def test_local_file_has_the_bytes_of_an_address_and_is_removed(
    states_length: bool, web: WebServe, video: Path
) -> None:
    content = video.read_bytes()
    answer = (200, _length(content) if states_length else {}, [content[:99], 0.05, content[99:]])
    with local_file(web({"/a.mp4?token=1": answer}) + "/a.mp4?token=1") as path:
        assert path.read_bytes() == content
        assert path.suffix == ".mp4"
    assert not path.exists()
    assert not path.parent.exists()


def test_local_file_is_a_path_itself(video: Path) -> None:
    with local_file(str(video)) as path:
        assert path == video
    assert video.exists()


def test_local_file_follows_redirects_to_web_addresses_only(web: WebServe, video: Path) -> None:
    content = video.read_bytes()
    address = web(
        {
            "/here": (302, {"Location": "/there"}, []),
            "/there": (200, _length(content), [content]),
            "/file": (302, {"Location": f"file://{video}"}, []),
            "/loop": (302, {"Location": "/loop"}, []),
        }
    )
    with local_file(f"{address}/here") as path:
        assert path.read_bytes() == content
    for name in ("file", "loop"):
        with (
            pytest.raises(VideoError, match="could not be copied"),
            local_file(f"{address}/{name}"),
        ):
            pass


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, {}, []), "404 Not Found"),
        ((200, {"Content-Type": "text/html; charset=utf-8"}, [b"<html>"]), "is a web page"),
        ((200, {"Content-Type": "multipart/x-mixed-replace; boundary=x"}, []), "filmstrip stream"),
        ((200, {"Content-Encoding": "gzip"}, [b"x"]), "compressed with gzip"),
        ((200, {"Content-Length": "100000"}, [b"x"]), "could not be copied"),
        ((200, {"Content-Length": "30000000"}, []), "larger than"),
        ((200, {}, [b"x" * 3_000_000]), "larger than"),
        ((200, {}, [b"x", 0.5] * 9), "filmstrip stream"),
        ((200, {"Content-Length": "100"}, [b"x", 0.5] * 9), "not complete after 2 s"),
        ((200, {}, [5.0]), "could not be copied"),
    ],
)
def test_local_file_refuses_what_is_no_file(
    answer: tuple[int, dict[str, str], list[bytes | float]], words: str, web: WebServe
) -> None:
    address = web({"/x": answer}) + "/x"
    limits = SpoolLimits(2_000_000, 2.0, 2.0, 1.0)
    with pytest.raises(VideoError) as error, local_file(address, limits=limits):
        pass
    assert words in str(error.value)
    assert address in error.value.given


def test_local_file_has_a_deadline_for_headers_that_drip(web: WebServe) -> None:
    class Dripping(Handler):
        def do_GET(self) -> None:
            for _ in range(100):
                self.wfile.write(b"H")
                time.sleep(0.1)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    limits = SpoolLimits(unstated_deadline_seconds=1.0)
    address = f"http://127.0.0.1:{server.server_port}/x"
    with (
        pytest.raises(VideoError, match="not complete"),
        local_file(address, limits=limits),
    ):
        pass
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("source", ["rtsp://127.0.0.1:9/live", "udp://127.0.0.1:9", "camera:0"])
def test_local_file_points_from_live_sources_to_stream(source: str) -> None:
    with pytest.raises(VideoError) as error, local_file(source):
        pass
    assert "filmstrip stream" in error.value.remedy


def test_local_file_names_the_address_in_errors_of_the_block(web: WebServe) -> None:
    address = web({"/x.mp4": (200, {}, [b"no video"])}) + "/x.mp4"
    with pytest.raises(NoVideoError) as error, local_file(address) as path:
        list(iterate_frames(path))
    assert error.value.given.startswith(f"{address}: ")
    assert str(path) not in str(error.value)


def test_local_file_takes_a_named_pipe(video: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[video.read_bytes()])
    writer.start()
    with local_file(tmp_path / "pipe") as path:
        assert path.read_bytes() == video.read_bytes()
    writer.join()


def test_local_file_says_that_the_disk_is_full(
    web: WebServe, largest_file: Callable[[int], Any]
) -> None:
    content = bytes(300_000)
    address = web({"/x": (200, _length(content), [content])}) + "/x"
    with largest_file(100_000), pytest.raises(ResourceError) as error, local_file(address):
        pass
    assert "TMPDIR" in error.value.remedy


def _hls(
    folder: Path, ended: bool = True, missing: int | None = None, seconds_a_part: int = 1
) -> None:
    """A playlist of three parts, ten frames a second, each brighter than the one before."""
    num_frames = 10 * seconds_a_part
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        f"#EXT-X-TARGETDURATION:{seconds_a_part}",
        "#EXT-X-MEDIA-SEQUENCE:0",
    ]
    for part in range(3):
        with av.open(str(folder / f"{part}.ts"), "w") as container:
            stream = container.add_stream("libx264", 10, options={"g": "10", "bf": "0"})
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for number in range(num_frames * part, num_frames * (part + 1)):
                picture = np.full((48, 64, 3), 8 * number % 256, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        lines += [f"#EXTINF:{seconds_a_part}.0,", f"{part}.ts"]
    if missing is not None:
        (folder / f"{missing}.ts").unlink()
    (folder / "list.m3u8").write_text("\n".join([*lines, *["#EXT-X-ENDLIST"] * ended, ""]))


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[str]:
    """Python's own server for the files of ``tmp_path``, which knows no ranges."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_local_file_holds_every_frame_of_a_playlist(file_server: str, tmp_path: Path) -> None:
    _hls(tmp_path)
    with local_file(f"{file_server}/list.m3u8") as path:
        frames = list(iterate_frames(path))
    assert [seconds for seconds, _ in frames] == pytest.approx(np.arange(30) / 10, abs=1e-4)
    brightness = [picture.mean() for _, picture in frames]
    assert brightness == pytest.approx(8 * np.arange(30), abs=8)


def test_local_file_refuses_a_playlist_that_is_live(file_server: str, tmp_path: Path) -> None:
    _hls(tmp_path, ended=False)
    with (
        pytest.raises(VideoError, match="live playlist"),
        local_file(f"{file_server}/list.m3u8", limits=SpoolLimits(stall_seconds=2)),
    ):
        pass


@pytest.mark.parametrize("missing", [1, 2])
def test_local_file_refuses_a_playlist_that_lacks_a_part(
    missing: int, file_server: str, tmp_path: Path
) -> None:
    _hls(tmp_path, seconds_a_part=3, missing=missing)
    with (
        pytest.raises(VideoError, match=r"of its 9\.0 s could be fetched"),
        local_file(f"{file_server}/list.m3u8"),
    ):
        pass


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from filmstrip.video.spool import local_file
with local_file(sys.argv[1]):
    pass
"""


@pytest.mark.parametrize("source", ["address", "-"])
def test_local_file_is_removed_on_ctrl_c(source: str, web: WebServe, tmp_path: Path) -> None:
    address = web({"/x": (200, {"Content-Length": "99"}, [b"x", 60.0])}) + "/x"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, address if source == "address" else "-"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not any(tmp_path.rglob("video*")):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["http://[bad", "http://", "https://host:port/x.mp4"])
def test_local_file_refuses_a_malformed_address(source: str) -> None:
    with pytest.raises(VideoError, match="is no address"), local_file(source):
        pass
