"""What the extraction benchmark runs, each in a process of its own that prints one JSON object.

    python benchmarks/workloads.py tutorial vgg16 224 ENGINES CLIPS...

All networks run on the GPU where there is one. ``tutorial`` and ``batched`` are what the published
notebooks do, with their own libraries; ``filmstrip`` is this package, which remembers its trials in
the folder ENGINES; ``int8`` is the same with 8-bit integers, on request. All see the same 16 frames
of the same files.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from filmstrip.dataset.rows import VideoRow
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine, default_device
from filmstrip.features.entry import ClipFacts
from filmstrip.features.extract import Extractor
from filmstrip.features.runtimes import INT8, runtimes
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.classifier import SequenceClassifier
from filmstrip.model.specs import ClassifierSpec, RecurrentHeadSpec, ScalerSpec, TimmBackboneSpec
from filmstrip.training.data import StoredClip, StoredClips, training_batches
from filmstrip.video.sampling import UniformSampling
from filmstrip.video.transforms import Augmentation, Framing

NUM_FRAMES = 16
NUM_PASSES = 3
SAMPLING = UniformSampling(num_frames=NUM_FRAMES)
A_LARGE_FOLDER = 10**6
"""Frames of the work that the runtime is chosen for: many thousand clips."""

DEVICE = default_device()
ON_GPU = DEVICE.type == "cuda"
NUM_TUTORIAL_CLIPS = 12
"""The slow ways need not see all clips to show their speed."""


def network(name: str, size: int) -> Backbone:
    """Random weights: they take as long as learnt ones."""
    torch.manual_seed(0)
    return build_backbone(TimmBackboneSpec(name=name, weights="none"), size).eval()


def opencv_frames(path: Path, size: int) -> np.ndarray:
    """Sixteen frames (T, S, S, 3) uint8, the whole video having been read."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = video.read()
        if not there:
            break
        frames.append(frame)
    video.release()
    chosen = np.linspace(0, len(frames) - 1, NUM_FRAMES).astype(int)
    return np.stack(
        [cv2.cvtColor(cv2.resize(frames[i], (size, size)), cv2.COLOR_BGR2RGB) for i in chosen]
    )


def plain_network(backbone: Backbone) -> Callable[[np.ndarray], torch.Tensor]:
    """Eager float32 in torch's default memory layout, as a notebook would run it."""
    backbone = backbone.to(DEVICE)
    trunk = backbone.trunk.to(memory_format=torch.contiguous_format)

    @torch.inference_mode()
    def run(frames: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float().contiguous() / 255
        pixels = (pixels.to(DEVICE) - backbone.normalise.mean) / backbone.normalise.std
        return trunk(pixels)[-1].mean(dim=(2, 3)).cpu()

    return run


def tutorial(name: str, size: int, _engines: Path, clips: list[Path]) -> dict[str, Any]:
    run = plain_network(network(name, size))
    clips = clips[:NUM_TUTORIAL_CLIPS]
    run(opencv_frames(clips[0], size)[:1])

    def extract() -> None:
        for path in clips:
            for frame in opencv_frames(path, size):
                run(frame[None])

    return {"frames_per_second": len(clips) * NUM_FRAMES / timed(extract)}


def batched(name: str, size: int, _engines: Path, clips: list[Path]) -> dict[str, Any]:
    run = plain_network(network(name, size))
    clips = clips[:NUM_TUTORIAL_CLIPS]
    batch = opencv_frames(clips[0], size)

    def extract() -> None:
        for path in clips:
            run(opencv_frames(path, size))

    run(batch)
    return {
        "frames_per_second": len(clips) * NUM_FRAMES / timed(extract),
        "network_frames_per_second": NUM_FRAMES / min(timed(lambda: run(batch)) for _ in range(3)),
    }


def filmstrip(name: str, size: int, engines: Path, clips: list[Path]) -> dict[str, Any]:
    return _filmstrip("auto", name, size, engines, clips)


def int8(name: str, size: int, engines: Path, clips: list[Path]) -> dict[str, Any]:
    return _filmstrip(INT8.name, name, size, engines, clips)


def _filmstrip(
    wanted: str, name: str, size: int, engines: Path, clips: list[Path]
) -> dict[str, Any]:
    """The network alone and the whole way in turns, since a machine's speed drifts."""
    backbone = network(name, size)
    reader = ClipReader(SAMPLING, Framing(size=size))
    rows = [VideoRow(path, label="") for path in clips]
    notes: list[str] = []
    engine = Engine(
        backbone,
        batch_size=None if ON_GPU else NUM_FRAMES,
        choice=EngineChoice(wanted, engines, notes.append),
    )
    clip_frames = [reader.read(row)[0] for row in rows[: -(-engine.batch_size // NUM_FRAMES)]]
    clip_frames += [clip_frames[0]] * (len(rows) - len(clip_frames))
    sample = np.concatenate(clip_frames[:NUM_TUTORIAL_CLIPS])

    def embed() -> None:
        work = engine.embed_clips(enumerate(clip_frames), lambda: A_LARGE_FOLDER, lambda: sample)
        assert sum(1 for _ in work) == len(rows)

    embed()
    alone, first, second = 0.0, 0.0, []
    for _ in range(NUM_PASSES):
        alone += timed(embed)
        with tempfile.TemporaryDirectory() as folder:
            extractor = Extractor(FeatureStore(Path(folder) / "features"), reader, engine)
            first += timed(lambda extractor=extractor: extractor.run(rows))
            second.append(timed(lambda extractor=extractor: extractor.run(rows)))
    num_frames = NUM_PASSES * len(clips) * NUM_FRAMES
    return {
        "frames_per_second": num_frames / first,
        "network_frames_per_second": num_frames / alone,
        "runtime": engine.runtime.name,
        "note": notes[-1] if notes else "",
        "trials": [asdict(trial) for trial in engine.trials.values()],
        "second_run_ratio": first / NUM_PASSES / min(second),
        "flops_per_frame": flops_per_frame(backbone, size),
    }


def flops_per_frame(backbone: Backbone, size: int) -> float:
    """Floating-point operations, a multiplication and an addition counted as two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(torch.zeros(1, 3, size, size, device=DEVICE))
    return float(counter.get_total_flops())


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ceiling() -> dict[str, float]:
    """The machine's own matrix product, in FLOP/s, in each precision that it computes in itself."""

    def multiply(left: torch.Tensor, right: torch.Tensor) -> None:
        torch.matmul(left, right)
        if ON_GPU:
            torch.cuda.synchronize()

    best = {}
    lower = {"bf16": torch.bfloat16, "fp16": torch.float16}
    for precision in sorted({runtime.precision for runtime in runtimes(DEVICE)}):
        dtype = lower.get(precision, torch.float32)
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        speeds = []
        for side in (4096, 8192) if ON_GPU else (1024, 2048, 4096):
            left, right = torch.randn(2, side, side, device=DEVICE).to(dtype)
            multiply(left, right)
            seconds = min(timed(lambda a=left, b=right: multiply(a, b)) for _ in range(5))
            speeds.append(2 * side**3 / seconds)
        best[precision] = max(speeds)
    return best


def decoding(clips: list[Path]) -> dict[str, float]:
    """Sampled frames per second of one thread, framed to 224 pixels, without any network."""
    reader = ClipReader(SAMPLING, Framing(size=224))

    def by_filmstrip() -> None:
        for path in clips:
            reader.read(VideoRow(path, label=""))

    def by_opencv() -> None:
        for path in clips:
            opencv_frames(path, 224)

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    num_frames = len(clips) * NUM_FRAMES
    return {
        "filmstrip": num_frames / min(timed(by_filmstrip) for _ in range(2)),
        "opencv": num_frames / min(timed(by_opencv) for _ in range(2)),
    }


def memory(num_videos: int, clip: Path) -> dict[str, float]:
    """Peak memory of an extraction of so many videos: one clip with a few bytes added each."""
    backbone = build_backbone(TimmBackboneSpec(name="tf_efficientnet_lite0", weights="none"), 64)
    reader = ClipReader(SAMPLING, Framing(size=64))
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_copies(clip, Path(folder), num_videos))
        extraction = Extractor(FeatureStore(Path(folder) / "features"), reader, Engine(backbone))
        assert extraction.run(rows).num_computed == num_videos
    return {"peak_bytes": peak_bytes()}


def head(num_clips: int = 1000, num_steps: int = 20, num_features: int = 2048) -> dict[str, float]:
    """Clips per second that the store gives, and that a GRU head of 256 units learns from."""
    spec = ClassifierSpec(
        class_names=("left", "right"),
        sampling=SAMPLING,
        framing=Framing(size=224),
        backbone=TimmBackboneSpec(name="resnet50", weights="none"),
        scaler=ScalerSpec(),
        head=RecurrentHeadSpec(cell="gru", hidden=(256,), pooling="last"),
    )
    network = SequenceClassifier(spec, num_features).train()
    optimiser = torch.optim.AdamW(network.parameters())
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder))
        facts = ClipFacts(320, 240, 7.0, 175)
        for number in range(num_clips):
            store.write(store.key(str(number)), torch.rand(num_steps, num_features), facts)
        clips = [StoredClip((store.key(str(n)),), n % 2) for n in range(num_clips)]
        batches = training_batches(StoredClips(store, clips, Augmentation()), 32)

        def learn() -> None:
            for features, lengths, labels in batches:
                optimiser.zero_grad()
                cross_entropy(network(features, lengths), labels).backward()
                optimiser.step()

        reading = min(timed(lambda: list(batches)) for _ in range(3))
        together = min(timed(learn) for _ in range(3))
    return {
        "read_clips_per_second": num_clips / reading,
        "trained_clips_per_second": num_clips / (together - reading),
    }


def _copies(clip: Path, folder: Path, num_copies: int) -> Iterator[VideoRow]:
    content = clip.read_bytes()
    for number in range(num_copies):
        path = folder / f"{number}{clip.suffix}"
        path.write_bytes(content + f"\x00\x00\x00\x0ffree{number:07d}".encode())
        yield VideoRow(path, label="")


def peak_bytes() -> float:
    """The most memory held since the program began; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return float(kibibytes) * 1024


def main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "ceiling":
        result: dict[str, Any] = ceiling()
    elif what == "decoding":
        result = decoding([Path(path) for path in arguments])
    elif what == "head":
        result = head()
    elif what == "memory":
        result = memory(int(arguments[0]), Path(arguments[1]))
    else:
        name, size, engines, *clips = arguments
        ways = {"tutorial": tutorial, "batched": batched, "filmstrip": filmstrip, "int8": int8}
        run = ways[what]
        result = run(name, int(size), Path(engines), [Path(path) for path in clips])
    print(json.dumps(result | {"peak_bytes": peak_bytes(), "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
