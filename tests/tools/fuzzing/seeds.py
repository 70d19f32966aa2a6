"""Sound files of every kind that Filmstrip reads, made once for a campaign."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from filmstrip.dataset.doctor.quarantine import write_quarantine
from filmstrip.model.classifier import VideoClassifier
from filmstrip.model.specs import ClassifierSpec, ConvNetSpec, RecurrentHeadSpec, ScalerSpec
from filmstrip.recipes.catalogue import load_recipe, to_yaml
from filmstrip.video.encode import write_video
from filmstrip.video.sampling import RateSampling
from filmstrip.video.transforms import Framing

CLASS_NAMES = ("left", "right", "up")
CLIPS_PER_CLASS = 6
NUM_FRAMES, HEIGHT, WIDTH, FRAMES_PER_SECOND = 12, 48, 64, 12

# Suffix, encoder, pixel format: every codec that PyAV's own FFmpeg can encode.
_ENCODINGS = (
    (".mp4", "libx264", "yuv420p"),
    (".mov", "libx264", "yuv422p10le"),
    (".mkv", "libx264", "yuv420p"),
    (".ts", "libx264", "yuv420p"),
    (".flv", "libx264", "yuv420p"),
    (".h264", "libx264", "yuv420p"),
    (".mp4", "libx265", "yuv420p"),
    (".mkv", "libx265", "yuv420p"),
    (".hevc", "libx265", "yuv420p"),
    (".avi", "mpeg4", "yuv420p"),
    (".mp4", "mpeg4", "yuv420p"),
    (".m4v", "mpeg4", "yuv420p"),
    (".mpg", "mpeg2video", "yuv420p"),
    (".m2ts", "mpeg2video", "yuv420p"),
    (".vob", "mpeg2video", "yuv420p"),
    (".mxf", "mpeg2video", "yuv420p"),
    (".mpeg", "mpeg1video", "yuv420p"),
    (".webm", "libvpx", "yuv420p"),
    (".webm", "libvpx-vp9", "yuv420p"),
    (".ivf", "libvpx", "yuv420p"),
    (".mkv", "libsvtav1", "yuv420p"),
    (".mp4", "libsvtav1", "yuv420p"),
    (".avi", "mjpeg", "yuvj420p"),
    (".mjpeg", "mjpeg", "yuvj420p"),
    (".gif", "gif", "rgb8"),
    (".mkv", "ffv1", "yuv420p"),
    (".mov", "prores_ks", "yuv422p10le"),
    (".3gp", "h263", "yuv420p"),
    (".wmv", "wmv2", "yuv420p"),
    (".asf", "msmpeg4", "yuv420p"),
    (".nut", "ffvhuff", "yuv420p"),
    (".y4m", "rawvideo", "yuv420p"),
    (".mov", "png", "rgb24"),
)
_SIZES = {"h263": (128, 96), "mpeg2video": (64, 48), "libsvtav1": (64, 64)}


@dataclass(frozen=True)
class Seeds:
    """Where the sound files are.

    Attributes:
        media: video files, at least one for each codec and container.
        clip: one of them, small and sound.
        classes: a folder of class folders with a few clips each.
        model: a model folder.
        packed: ``.npz`` and ``.pkl`` files of frames and labels.
        tables: CSV and other tables of ``classes``; their paths are relative to ``classes``.
        lists: a folder with the official lists of UCF101, for ``classes``.
        quarantine: a list of a file of ``classes`` to leave out.
        recipes: YAML files.
    """

    media: tuple[Path, ...]
    clip: Path
    classes: Path
    model: Path
    packed: tuple[Path, ...]
    tables: tuple[Path, ...]
    lists: Path
    quarantine: Path
    recipes: tuple[Path, ...]


def make_seeds(folder: Path) -> Seeds:
    """Write all sound files below ``folder``."""
    os.environ.setdefault("SVT_LOG", "0")
    classes = _classes(folder / "classes")
    return Seeds(
        media=_media(folder / "media"),
        clip=classes / "left" / "left_0.mp4",
        classes=classes,
        model=_model(folder / "model"),
        packed=_packed(folder / "packed"),
        tables=_tables(folder / "tables", classes),
        lists=_lists(folder / "lists", classes),
        quarantine=_quarantine(folder / "quarantine.csv", classes),
        recipes=_recipes(folder / "recipes"),
    )


def pictures(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A square that moves over a scene of its own, (T, H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    scene = np.kron(rng.integers(0, 160, (height // 8, width // 8, 3)), np.ones((8, 8, 1), int))
    frames = np.tile(scene.astype(np.uint8), (NUM_FRAMES, 1, 1, 1))
    top, left = rng.integers(0, height - 12), rng.integers(0, width - 12)
    step = rng.integers(-3, 4, 2)
    for number, frame in enumerate(frames):
        place = (np.array((top, left)) + number * step) % (height - 12, width - 12)
        frame[place[0] : place[0] + 12, place[1] : place[1] + 12] = 230
    return frames


def _media(folder: Path) -> tuple[Path, ...]:
    folder.mkdir(parents=True)
    found = []
    for suffix, codec, pixel_format in _ENCODINGS:
        path = folder / f"{codec}{suffix}"
        _encode(path, codec, pixel_format, {})
        found.append(path)
    fragmented = folder / "fragmented.mp4"
    _encode(fragmented, "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"})
    return (*found, fragmented)


def _encode(path: Path, codec: str, pixel_format: str, options: dict[str, str]) -> None:
    width, height = _SIZES.get(codec, (WIDTH, HEIGHT))
    rate = 25 if path.suffix in (".mpg", ".mpeg", ".m2ts", ".vob", ".mxf") else FRAMES_PER_SECOND
    muxer = {".m2ts": "mpegts", ".y4m": "yuv4mpegpipe"}.get(path.suffix)
    with av.open(str(path), "w", format=muxer, options=options) as container:
        quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        stream = container.add_stream(codec, rate, options=quiet)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = Fraction(1, rate)
        for number, rgb in enumerate(pictures(0, height, width)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _classes(folder: Path) -> Path:
    for label, name in enumerate(CLASS_NAMES):
        for number in range(CLIPS_PER_CLASS):
            path = folder / name / f"{name}_{number}.mp4"
            write_video(path, pictures(10 * label + number), FRAMES_PER_SECOND)
    return folder


def _model(folder: Path) -> Path:
    spec = ClassifierSpec(
        class_names=CLASS_NAMES,
        sampling=RateSampling(frames_per_second=6, max_frames=24),
        framing=Framing(size=32),
        backbone=ConvNetSpec(channels=(4, 8), trainable=0),
        scaler=ScalerSpec(),
        head=RecurrentHeadSpec(hidden=(8,), differences=(1,), pooling="mean-max"),
    )
    VideoClassifier(spec).save(folder)
    return folder


def _packed(folder: Path) -> tuple[Path, ...]:
    folder.mkdir(parents=True)
    frames = np.stack([pictures(number)[:, ::2, ::2] for number in range(8)])
    labels = np.arange(8) % 2
    content = {"X": frames, "y": labels}
    np.savez(folder / "plain.npz", **content)
    np.savez_compressed(folder / "compressed.npz", frames=frames, labels=labels)
    for number, protocol in enumerate((2, 4)):
        with (folder / f"arrays{number}.pkl").open("wb") as file:
            pickle.dump(content, file, protocol=protocol)
    with (folder / "lists.pkl").open("wb") as file:
        pickle.dump((list(frames), labels.tolist()), file)
    return tuple(sorted(folder.iterdir()))


def _tables(folder: Path, classes: Path) -> tuple[Path, ...]:
    folder.mkdir(parents=True)
    names = [path.relative_to(classes).as_posix() for path in sorted(classes.glob("*/*.mp4"))]
    rows = [(name, name.partition("/")[0]) for name in names]
    texts = {
        "comma.csv": ["path,label", *(f"{name},{label}" for name, label in rows)],
        "groups.csv": [
            "path;label;group;split",
            *(
                f"{name};{label};g{number % 3};{('test', 'val', 'train')[number % 3]}"
                for number, (name, label) in enumerate(rows)
            ),
        ],
        "tabs.tsv": ["filename\tclass", *(f"{name}\t{label}" for name, label in rows)],
        "spaces.txt": [f"{name} {label}" for name, label in rows],
        "quoted.csv": ["video,category", *(f'"{name}","{label}"' for name, label in rows)],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tuple(folder / name for name in texts)


def _lists(folder: Path, classes: Path) -> Path:
    folder.mkdir(parents=True)
    numbers = [f"{number} {name}" for number, name in enumerate(CLASS_NAMES, start=1)]
    (folder / "classInd.txt").write_text("\n".join(numbers) + "\n", encoding="utf-8")
    parts: dict[str, list[str]] = {"train": [], "test": []}
    for path in sorted(classes.glob("*/*.mp4")):
        name = path.relative_to(classes).as_posix()
        number = CLASS_NAMES.index(path.parent.name) + 1
        is_test = path.stem.endswith("_0")
        parts["test" if is_test else "train"].append(name if is_test else f"{name} {number}")
    for part, lines in parts.items():
        (folder / f"{part}list01.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _quarantine(path: Path, classes: Path) -> Path:
    clip = classes / "up" / "up_1.mp4"
    write_quarantine(path, {clip: "too dark"}, classes)
    return path


def _recipes(folder: Path) -> tuple[Path, ...]:
    folder.mkdir(parents=True)
    for name in ("lite-gru", "cnn-lstm", "mean-linear"):
        (folder / f"{name}.yaml").write_text(to_yaml(load_recipe(name)), encoding="utf-8")
    nested = json.dumps(load_recipe("vgg16-lstm").model_dump(mode="json"))
    (folder / "flow.yaml").write_text(nested, encoding="utf-8")
    return tuple(sorted(folder.iterdir()))
