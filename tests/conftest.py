"""What many tests share: a small folder of real videos, quick recipes, and one finished run."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from rtsp_server import RtspServer

from filmstrip.recipes.catalogue import load_recipe
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.reporter import Advance, Reporter
from filmstrip.training.run_folder import RunFolder, TrainingRequest
from filmstrip.video.encode import write_video

if TYPE_CHECKING:
    from filmstrip.inference.exporting.report import Report

MOTIONS = {"left": (0, -1.5), "right": (0, 1.5), "up": (-1.5, 0)}
CLIPS_PER_CLASS = 8
NUM_FRAMES, SIZE, FRAMES_PER_SECOND = 12, 48, 12

QUICK = {
    "lite-gru": (
        "framing.size=32",
        "sampling.kind=rate",
        "backbone.grid=2",
        "scaler.kind=pca",
        "scaler.num_components=16",
        "head.projection=0",
        "head.hidden=16",
        "training.views=[plain]",  # left and right are classes of their own
        "training.epochs=3",
        "training.batch_size=8",
        "training.refit=false",
    ),
    "cnn-lstm": (
        "framing.size=32",
        "sampling.num_frames=6",
        "backbone.channels=[4, 8]",
        "backbone.grid=2",
        "head.hidden=16",
        "training.epochs=3",
        "training.batch_size=8",
    ),
    "mean-linear": (
        "framing.size=32",
        "sampling.num_frames=4",
        "training.epochs=2",
        "training.batch_size=8",
    ),
}
"""Settings under which a recipe is done in a second or two on the folder ``videos``."""


def draw_clip(motion: str, seed: int) -> np.ndarray:
    """A bright square that moves from the centre over a scene of its own, (T, H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    scene = np.kron(rng.integers(20, 110, (6, 6, 3)), np.ones((SIZE // 6, SIZE // 6, 1), int))
    frames = (scene + rng.integers(0, 20, (NUM_FRAMES, SIZE, SIZE, 3))).astype(np.uint8)
    colour = rng.integers(160, 256, 3)
    start = SIZE // 2 - 5 + rng.integers(-3, 4, 2)
    for number, frame in enumerate(frames):
        top, left = (start + number * np.array(MOTIONS[motion])).astype(int)
        frame[top : top + 10, left : left + 10] = colour
    return frames


def write_videos(folder: Path) -> Path:
    for label, motion in enumerate(MOTIONS):
        for number in range(CLIPS_PER_CLASS):
            frames = draw_clip(motion, 100 * label + number)
            write_video(folder / motion / f"{motion}_{number}.mp4", frames, FRAMES_PER_SECOND)
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The feature cache of all tests, away from the user's own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FILMSTRIP_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of eight clips; not to be changed."""
    return write_videos(tmp_path_factory.mktemp("data") / "videos")


@pytest.fixture
def own_videos(videos: Path, tmp_path: Path) -> Path:
    """A copy of ``videos`` that a test may change."""
    return Path(shutil.copytree(videos, tmp_path / "own_videos"))


def quick_recipe(name: str = "lite-gru", *overrides: str) -> Recipe:
    return load_recipe(name, [*QUICK[name], *overrides])


@pytest.fixture(scope="session")
def recipe() -> Callable[..., Recipe]:
    """``recipe(name, *overrides)``: a recipe with settings that make it quick."""
    return quick_recipe


@pytest.fixture(scope="session")
def finished_run(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of the default recipe on ``videos``; not to be changed."""
    from filmstrip.training.train import train

    run = RunFolder(tmp_path_factory.mktemp("runs") / "finished")
    train(TrainingRequest(data=videos, recipe=quick_recipe()), run.path)
    return run


@pytest.fixture(scope="session")
def exported_run(
    finished_run: RunFolder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    """``finished_run`` as ONNX graphs, and what the export reported; not to be changed."""
    from filmstrip.inference.exporting.export import export_run

    folder = tmp_path_factory.mktemp("exports") / "exported"
    return folder, export_run(finished_run.path, folder, int8=True)


class Listener(Reporter):
    """A reporter that keeps what it hears: notes, and the words of each phase's steps."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.phases: list[tuple[str, int, list[str]]] = []

    @contextmanager
    def phase(self, title: str, num_steps: int) -> Iterator[Advance]:
        words: list[str] = []
        self.phases.append((title, num_steps, words))
        yield words.append

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@dataclass(frozen=True)
class Finished:
    """What a call of the command line left behind."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def filmstrip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """``filmstrip("train", …)``: the command line as a shell calls it, in this process."""
    from filmstrip.app.cli import main

    def call(*arguments: object) -> Finished:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["filmstrip", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Finished(int(ended.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def largest_file() -> Callable[[int], object]:
    """``with largest_file(num_bytes)``: the system refuses to let any file grow beyond that."""

    @contextmanager
    def limited(num_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


class LiveServer:
    """A real HTTP server on this machine; each connection is sent the next of ``answers``.

    An answer is bytes to send and seconds to wait; ``None`` stays silent until the server closes.
    After the last answer, connections are sent the last one again.
    """

    def __init__(
        self,
        answers: list[list[bytes | float | None]],
        port: int,
        path: str,
        length: int | None = None,
    ) -> None:
        self.num_connections = 0
        self._is_closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                number = min(server.num_connections, len(answers) - 1)
                server.num_connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.send_header("Connection", "close")
                if length is not None:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                for part in answers[number]:
                    if isinstance(part, bytes):
                        self.wfile.write(part)
                    elif server._is_closing.wait(part):
                        return

            def log_message(self, *_arguments: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self.address = f"http://127.0.0.1:{self.port}{path}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._is_closing.set()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., LiveServer]]:
    """``serve(answer, answer, …, port=0, path="/live.ts")``: a server that these tests close.

    With ``length`` it states that many bytes, as for a file.
    """
    servers: list[LiveServer] = []

    def start(
        *answers: list[bytes | float | None],
        port: int = 0,
        path: str = "/live.ts",
        length: int | None = None,
    ):
        servers.append(LiveServer(list(answers), port, path, length))
        return servers[-1]

    yield start
    for server in servers:
        with suppress(OSError):
            server.close()


@pytest.fixture
def serve_rtsp() -> Iterator[Callable[..., RtspServer]]:
    """``serve_rtsp(script, script, …, port=0)``: an RTSP server that these tests close."""
    servers: list[RtspServer] = []

    def start(*scripts: list[bytes | float | None], **settings: Any) -> RtspServer:
        servers.append(RtspServer(list(scripts), **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def transport_stream(tmp_path: Path) -> Callable[..., bytes]:
    """``transport_stream(frames, frames_per_second=10)``: MPEG-TS, a key frame every five."""

    def encode(frames: np.ndarray, frames_per_second: int = 10) -> bytes:
        path = tmp_path / "encoded.ts"
        with av.open(str(path), "w") as container:
            options = {"g": "5", "bf": "0", "sc_threshold": "0"}
            stream = container.add_stream("libx264", frames_per_second, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for picture in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path.read_bytes()

    return encode


LIMIT_MEMORY = """
def limit_memory(megabytes):
    "Let this process grow by no more than that from now on."
    import resource
    kilobytes = next(
        int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")
    )
    limit = kilobytes * 1024 + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
"""


@pytest.fixture
def in_little_memory() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``in_little_memory(code, *arguments)``: a process whose code may call ``limit_memory``."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to measure memory")

    def call(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LIMIT_MEMORY + code, *map(str, arguments)]
        # glibc gives each thread an arena of its own, which counts as memory.
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=300, env=environment
        )

    return call


@pytest.fixture
def large_video(tmp_path: Path) -> Path:
    """Eight black frames of 20 megapixels: a sound file whose decoder needs 500 MB."""
    path = tmp_path / "large.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 5000, 4000, "yuv420p"
        frame = av.VideoFrame(5000, 4000, "yuv420p")
        for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        for _ in range(8):
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
