"""Writes docs/performance.md and its chart: feature extraction side by side, in one run.

    python benchmarks/performance.py [--resume]

Clips are encoded first; each workload then runs in a process of its own (``workloads.py``), one
after the other. Ratios hold for the machine that the page names. ``--resume`` takes up a run that
was cut short: what it had measured stands in ``runs/performance.jsonl``.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from rich.console import Console

from filmstrip.dataset.synthetic import MOTIONS, render_clip
from filmstrip.video.encode import write_video

PAGE = Path("docs/performance.md")
CHART = Path("docs/performance.png")
RAW = Path("runs/performance.jsonl")
"""What each workload printed, as it came, for those who want more than the page says."""

WORKLOADS = Path(__file__).with_name("workloads.py")
NETWORKS = {
    "vgg16": ("VGG16", 224),
    "resnet50": ("ResNet-50", 224),
    "inception_v3": ("Inception v3", 299),
    "legacy_xception": ("Xception", 299),
    "tf_efficientnet_lite0": ("EfficientNet-Lite0", 224),
}
CODECS = {"XviD": ("mpeg4", ".avi"), "H.264": ("libx264", ".mp4")}
SECONDS, FRAMES_PER_SECOND = 7, 25
CLIPS_PER_CODEC = 3

ON_GPU = torch.cuda.is_available()
NUM_COPIES = 100 if ON_GPU else 1
"""Of each clip: a GPU takes in a whole set of six in one pass."""

WAYS = ("tutorial", "batched", "filmstrip") + (() if ON_GPU else ("int8",))

console = Console(stderr=True, highlight=False)


def encode_clips(folder: Path, size: tuple[int, int], codec: str, number: int) -> list[str]:
    """Clips of seven seconds, 25 frames a second."""
    encoder, suffix = CODECS[codec]
    paths = []
    for index in range(number):
        rng = np.random.default_rng(index)
        motion = list(MOTIONS)[index % len(MOTIONS)]
        frames = render_clip(motion, rng, SECONDS * FRAMES_PER_SECOND, 240)
        path = folder / f"{codec.replace('.', '')}_{size[1]}_{index}{suffix}"
        shown = (np.asarray(Image.fromarray(frame).resize(size)) for frame in frames)
        write_video(path, shown, FRAMES_PER_SECOND, codec=encoder)
        paths.append(str(path))
    return paths + [copy for path in paths for copy in copies(Path(path), NUM_COPIES - 1)]


def copies(clip: Path, number: int) -> list[str]:
    """The same video in files of other content, each with a part at its end that nobody reads."""
    paths = []
    for index in range(number):
        path = clip.with_stem(f"{clip.stem}_{index}")
        note = f"{index:08d}".encode()
        is_avi = clip.suffix == ".avi"
        part = b"JUNK\x08\x00\x00\x00" if is_avi else b"\x00\x00\x00\x10free"
        path.write_bytes(clip.read_bytes() + part + note)
        paths.append(str(path))
    return paths


def measure(label: str, *arguments: str) -> dict[str, Any]:
    """One workload in a fresh process, unless a run that is resumed has measured it."""
    known = RAW.read_text().splitlines() if RAW.exists() else []
    for record in map(json.loads, known):
        if record["label"] == label:
            return dict(record)
    console.print(f"  {label}")
    done = subprocess.run(
        [sys.executable, str(WORKLOADS), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{label} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    with RAW.open("a") as file:
        file.write(json.dumps({"label": label} | result) + "\n")
    return result


def compare(
    kind: str,
    clips: list[str],
    peak: dict[str, float],
    engines: Path,
    names: Iterable[str] = NETWORKS,
) -> list[dict[str, Any]]:
    """For each network the three ways on the same clips."""
    rows = []
    for name in names:
        title, size = NETWORKS[name]
        ways = {
            way: measure(f"{way}, {title}, {kind}", way, name, str(size), str(engines), *clips)
            for way in WAYS
        }
        ours = ways["filmstrip"]
        precision = ours["runtime"].partition("-")[2]
        done = ours["flops_per_frame"] * ours["network_frames_per_second"]
        rows.append({"title": title, "size": size, "share": done / peak[precision]} | ways)
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Frames per second and ratios, in Markdown."""
    lines = [
        "| Network | (a) one frame a call | (b) batched | (c) Filmstrip | (c):(a) | (c):(b) | "
        "runtime | network alone, (c):(b) | pipeline : network alone | share of the ceiling |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        a, b, c = (row[way]["frames_per_second"] for way in ("tutorial", "batched", "filmstrip"))
        b_net, c_net = (row[way]["network_frames_per_second"] for way in ("batched", "filmstrip"))
        lines.append(
            f"| {row['title']}, {row['size']} | {a:.1f} | {b:.1f} | {c:.1f} | **{c / a:.1f}×** | "
            f"**{c / b:.1f}×** | {row['filmstrip']['runtime']} | {c_net / b_net:.1f}× | "
            f"{c / c_net:.0%} | {row['share']:.0%} |"
        )
    return lines


def int8_part(rows: list[dict[str, Any]]) -> list[str]:
    """The same with 8-bit integers, in Markdown; nothing where they are not offered."""
    if "int8" not in WAYS:
        return []
    lines = [
        "On request, `--engine openvino-int8`: the network in 8-bit integers, calibrated on "
        "the user's own frames. It is never chosen by itself, since its features agree with "
        "float32's less closely than other runtimes' do.",
        "",
        "| Network | (d) Filmstrip, int8 | (d):(a) | (d):(b) | (d):(c) | "
        "pipeline : network alone | least cosine to float32 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        a, b, c, d = (
            row[way]["frames_per_second"] for way in ("tutorial", "batched", "filmstrip", "int8")
        )
        alone = row["int8"]["network_frames_per_second"]
        cosine = row["int8"]["note"].split()[-1].rstrip(".")
        lines.append(
            f"| {row['title']}, {row['size']} | {d:.1f} | **{d / a:.1f}×** | **{d / b:.1f}×** | "
            f"{d / c:.1f}× | {d / alone:.0%} | {cosine} |"
        )
    return [*lines, ""]


def trial_table(rows: list[dict[str, Any]]) -> list[str]:
    """What each runtime measured in the trials."""
    lines = [
        "| Network | Runtime | frames/s | start-up, s | least cosine to float32 |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        for trial in row["filmstrip"]["trials"]:
            speed = trial["failure"] or f"{trial['frames_per_second']:.1f}"
            lines.append(
                f"| {row['title']} | {trial['runtime']} | {speed} | "
                f"{trial['start_up_seconds']:.1f} | {trial['cosine']:.5f} |"
            )
    return lines


def draw(rows: list[dict[str, Any]]) -> None:
    """Bars of the three ways, each beside the others, relative to (b)."""
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    places = np.arange(len(rows))
    looks = {
        "tutorial": (-0.3, "one frame a call, OpenCV", "#c8c8c8"),
        "batched": (-0.1, "batches of 16, eager float32", "#8fb0cf"),
        "filmstrip": (0.1, "Filmstrip", "#1f5f9f"),
        "int8": (0.3, "Filmstrip, int8 on request", "#c77f2b"),
    }
    for way in WAYS:
        offset, label, colour = looks[way]
        ratios = [
            row[way]["frames_per_second"] / row["batched"]["frames_per_second"] for row in rows
        ]
        bars = axes.bar(places + offset, ratios, 0.19, label=label, color=colour)
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=2)
    axes.set_xticks(places, [row["title"] for row in rows])
    axes.set_ylabel("speed relative to batches")
    figure.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=4)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(CHART, dpi=120)


def page(
    rows: list[dict[str, Any]],
    large: list[dict[str, Any]],
    peak: dict[str, float],
    decoded: dict[str, dict[str, float]],
    head: dict[str, float],
    memory: dict[int, float],
) -> str:
    """The whole page."""
    precisions = [name for name in ("fp32", "tf32", "bf16", "fp16") if name in peak]
    ceilings = ", ".join(f"{name} {peak[name] / 1e9:.0f}" for name in precisions)
    capabilities = torch.cpu.get_capabilities()
    processor = capabilities.get("cpu_name") or platform.processor()
    able = ", ".join(sorted(n for n, v in capabilities.items() if v is True and "16" in n))
    if ON_GPU:
        processor = f"{torch.cuda.get_device_name()} beside {processor}"
    few, many = sorted(memory)
    seconds = ", ".join(
        f"{row['title']} {row['filmstrip']['second_run_ratio']:.0f}×" for row in rows
    )
    return "\n".join(
        [
            "# Performance",
            "",
            "Written by `make bench`; every figure of the page is from one run. Ratios hold for "
            "the machine named here, and differ much between processors: that is why Filmstrip "
            "measures before it chooses.",
            "",
            f"Machine: {processor}, {rows[0]['filmstrip']['cores']} cores, {able}; "
            f"torch {torch.__version__}. Ceiling, the machine's own matrix product in GFLOP/s: "
            f"{ceilings}.",
            "",
            "## Feature extraction",
            "",
            f"{2 * CLIPS_PER_CODEC * NUM_COPIES} clips of {SECONDS} s, 320×240, 25 frames/s, half "
            "XviD and half H.264; 16 frames of each; frames/s of the whole way from files to "
            "features. Weights are random. (a) is what tutorials do: OpenCV reads the whole video, "
            "the network sees one frame a call, eager float32. (b) gives it the 16 frames at once. "
            "(c) is `filmstrip extract` with its default settings, the optional runtimes "
            "installed, start-up left out (it is in the second table).",
            "",
            *table(rows),
            "",
            "![speed relative to batches](performance.png)",
            "",
            "The last column is the share of the ceiling, in the precision of the chosen runtime, "
            "that the network alone reaches. The rest goes into layers that move more memory than "
            "they compute (depthwise convolutions, pooling, activations).",
            "",
            *int8_part(rows),
            "The same from 1920×1080 H.264, where decoding weighs more:",
            "",
            *table(large),
            "",
            "What the trials measured; a precision that loses eagerly is not tried further:",
            "",
            *trial_table(rows),
            "",
            "## Decoding alone",
            "",
            "Sampled frames/s of one thread, framed to 224 pixels:",
            "",
            "| Clips | Filmstrip | OpenCV, whole video read | ratio |",
            "|---|---|---|---|",
            *(
                f"| {name} | {speeds['filmstrip']:.0f} | {speeds['opencv']:.0f} | "
                f"{speeds['filmstrip'] / speeds['opencv']:.1f}× |"
                for name, speeds in decoded.items()
            ),
            "",
            "## Second run, store and memory",
            "",
            f"A second run over the same files decodes nothing. Against the first: {seconds}.",
            "",
            f"The store gives {head['read_clips_per_second']:.0f} clips/s of 20 × 2048 features; a "
            f"GRU of 256 units learns from {head['trained_clips_per_second']:.0f} clips/s, reading "
            "not counted.",
            "",
            f"The peak of memory of an extraction over {many} small videos is "
            f"{memory[many] / memory[few]:.2f} times that over {few} "
            f"({memory[many] / 2**20:.0f} and {memory[few] / 2**20:.0f} MiB).",
            "",
        ]
    )


def main() -> None:
    RAW.parent.mkdir(exist_ok=True)
    if "--resume" not in sys.argv:
        RAW.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        console.print("Encoding clips")
        sets = {
            f"{codec} 320×240": encode_clips(folder, (320, 240), codec, CLIPS_PER_CODEC)
            for codec in CODECS
        }
        sets["H.264 1920×1080"] = encode_clips(folder, (1920, 1080), "H.264", 1 if ON_GPU else 2)
        small = [path for label, paths in sets.items() if "320" in label for path in paths]
        console.print("Measuring")
        peak = measure("ceiling", "ceiling")
        decoded = {
            label: measure(f"decoding, {label}", "decoding", *paths)
            for label, paths in sets.items()
        }
        rows = compare("320×240", small, peak, folder / "engines")
        # Each network's runtime is known by now, so that nothing is tried twice.
        names = ("resnet50", "tf_efficientnet_lite0")
        large = compare("1080p", sets["H.264 1920×1080"], peak, folder / "engines", names)
        head = measure("head", "head")
        clip = sets["H.264 320×240"][0]
        memory = {
            n: measure(f"memory, {n} videos", "memory", str(n), clip)["peak_bytes"]
            for n in (100, 2000)
        }
    draw(rows)
    PAGE.write_text(page(rows, large, peak, decoded, head, memory))
    console.print(f"Written: {PAGE}, {CHART}")


if __name__ == "__main__":
    main()
