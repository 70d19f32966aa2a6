"""Rendered motions in ten classes, told apart by nothing but the order of their frames.

A textured shape moves before a drifting background. The classes are five pairs, and a clip of a
pair's second class is a clip of its first class played backwards. All else is drawn alike for
both, so a model that is blind to the order of frames can name the pair but not the class: its
accuracy cannot exceed one half, and what a recurrent network gains above that it owes to time.
"""

from __future__ import annotations

import colorsys
import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from filmstrip.errors import DatasetError, nearest
from filmstrip.video.encode import write_video

_PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "anticlockwise"),
    ("growing", "shrinking"),
    ("brightening", "darkening"),
)
MOTIONS: dict[str, str] = {name: reverse for pair in _PAIRS for name, reverse in (pair, pair[::-1])}
"""The names of the motions, each with the motion that it becomes when played backwards."""

FRAMES_PER_SECOND = 16
FRAME_SIZE = 128
_FEWEST_FRAMES, _MOST_FRAMES = 22, 30

# Corners of the regular polygons; a disc has none, and a cross is made of two bars.
_CORNERS = {"triangle": 3, "square": 4, "pentagon": 5}
_SHAPES = ("disc", "cross", *_CORNERS)
_TEXTURES = ("stripes", "checks", "dots", "gradient")
# How far the background drifts over a clip, at most, as a share of the frame's side.
_DRIFT = 0.06

Floats = NDArray[np.float64]
Frames = NDArray[np.uint8]


def render_dataset(
    folder: Path,
    clips_per_class: int = 100,
    seed: int = 0,
    num_workers: int | None = None,
    advance: Callable[[str], None] = lambda _words: None,
) -> None:
    """Render ``folder/<motion>/<motion>_<number>.mp4`` (H.264) for each motion.

    Files that are there already are left as they are, so that a run that was cut short goes on.

    Args:
        folder: made if absent.
        clips_per_class: how many clips of each motion.
        seed: decides every clip; the number of workers does not.
        num_workers: processes; as many as the machine has cores if not given.
        advance: called after each clip.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    render = partial(_render_file, folder, seed)
    wanted = [(motion, number) for motion in MOTIONS for number in range(clips_per_class)]
    # A fresh process for each worker: a fork would copy the locks of torch's threads as they are.
    with ProcessPoolExecutor(num_workers or os.cpu_count(), get_context("spawn")) as pool:
        try:
            for finished in as_completed([pool.submit(render, *clip) for clip in wanted]):
                finished.result()
                advance("")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def render_clip(
    motion: str, rng: np.random.Generator, num_frames: int = 26, size: int = FRAME_SIZE
) -> Frames:
    """Draw a random clip of one motion.

    With the same state of ``rng``, a motion and its reverse give the same frames in opposite order.

    Args:
        motion: a name in ``MOTIONS``.
        rng: the source of shape, texture, colours, place, speed and background.
        num_frames: frames of the clip, at least 2.
        size: width and height of a frame in pixels, at least 16.

    Returns:
        frames (num_frames, size, size, 3) uint8 RGB.

    Raises:
        DatasetError: an unknown motion, or too few frames or pixels to show one.
    """
    _check(motion, num_frames, size)
    is_reversed = motion not in {first for first, _ in _PAIRS}
    forward = MOTIONS[motion] if is_reversed else motion
    course = _course(forward, rng, num_frames)
    look = _Look.draw(rng)
    background = _Background.draw(rng, size, look.hue)
    frames = np.stack(
        [
            _shade(look.paint(background.at(step), course, index), course.gain[index])
            for index, step in enumerate(course.progress)
        ]
    )
    return frames[::-1].copy() if is_reversed else frames


@dataclass(frozen=True, slots=True)
class _Course:
    """How a shape moves: each an array (T,); lengths are shares of the frame's side."""

    progress: Floats
    x: Floats
    y: Floats
    radius: Floats
    angle: Floats
    gain: Floats


def _course(motion: str, rng: np.random.Generator, num_frames: int) -> _Course:
    """The course of a motion; that of its reverse is the same read backwards."""
    time = np.linspace(0, 1, num_frames)
    # Slower or faster in the middle, the same from either end.
    progress = time + rng.uniform(-0.6, 0.6) * np.sin(2 * np.pi * time) / (2 * np.pi)
    size = rng.uniform(0.2, 0.3)
    turn, gain = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1)
    x, y = rng.uniform(0.9 * size, 1 - 0.9 * size, 2)
    still = np.ones(num_frames)
    course = _Course(progress, x * still, y * still, size * still, turn * still, gain * still)
    if motion in ("left", "up"):
        travel = rng.uniform(0.35, 0.6)
        middle = rng.uniform(0.15 + travel / 2, 0.85 - travel / 2)
        (course.x if motion == "left" else course.y)[:] = middle - travel * (progress - 0.5)
    elif motion == "clockwise":
        course.angle[:] += rng.uniform(1, 1.8) * np.pi * (progress - 0.5)
        # About a point at its edge: about its centre, a round shape would hardly seem to turn.
        arm, (x, y) = rng.uniform(0.8, 1.1) * size, rng.uniform(0.4, 0.6, 2)
        course.x[:] = x + arm * np.cos(course.angle)
        course.y[:] = y + arm * np.sin(course.angle)
    elif motion == "growing":
        course.radius[:] *= rng.uniform(2, 3) ** (progress - 0.5)
    else:
        course.gain[:] = rng.uniform(0.95, 1.1) * rng.uniform(2, 4) ** (progress - 1)
    return course


@dataclass(frozen=True, slots=True)
class _Look:
    """What a shape looks like, whatever it does; colours are (3,) in 0..255."""

    shape: str
    texture: str
    frequency: float
    texture_angle: float
    aspect: float
    hue: float
    light: Floats
    dark: Floats
    rim: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Look:
        """A random look."""
        hue = rng.random()
        return cls(
            shape=str(rng.choice(_SHAPES)),
            texture=str(rng.choice(_TEXTURES)),
            frequency=rng.uniform(5, 9),
            texture_angle=rng.uniform(0, 2 * np.pi),
            aspect=math.sqrt(rng.uniform(1, 1.6)),
            hue=hue,
            light=_colour(hue, rng.uniform(0.6, 0.95), rng.uniform(0.85, 1)),
            dark=_colour(
                hue + rng.uniform(0.1, 0.5), rng.uniform(0.5, 0.95), rng.uniform(0.35, 0.65)
            ),
            rim=_colour(hue, 0.4, float(rng.choice([0.08, 1.0]))),
        )

    def paint(self, frame: Frames, course: _Course, index: int) -> Frames:
        """``frame`` (S, S, 3) with the shape drawn onto it, edges antialiased."""
        size = len(frame)
        radius = course.radius[index] * size
        reach = 1.7 * radius + 2
        x, y = course.x[index] * size, course.y[index] * size
        left, right = max(0, int(x - reach)), min(size, int(x + reach) + 1)
        top, bottom = max(0, int(y - reach)), min(size, int(y + reach) + 1)
        across = (np.arange(left, right)[None, :] + 0.5 - x) / radius
        down = (np.arange(top, bottom)[:, None] + 0.5 - y) / radius
        u, v = _turned(across, down, course.angle[index])
        u, v = u / self.aspect, v * self.aspect
        # In pixels beyond the shape's edge, negative inside.
        distance = _distance(self.shape, u, v) * radius
        cover = np.clip(0.5 - distance, 0, 1)[:, :, None]
        edge = np.clip(distance + 0.09 * radius + 0.5, 0, 1)[:, :, None]
        wave = _wave(self.texture, *_turned(u, v, self.texture_angle), self.frequency)
        mix = np.clip(2 * wave + 0.5, 0, 1)[:, :, None]
        paint = self.dark + (self.light - self.dark) * mix
        paint += (self.rim - paint) * edge
        patch = frame[top:bottom, left:right]
        frame[top:bottom, left:right] = patch + cover * (paint - patch) + 0.5
        return frame


@dataclass(frozen=True, slots=True)
class _Background:
    """A soft picture, larger than a frame, over which the frame slides."""

    picture: Image.Image
    size: int
    margin: int
    drift_x: float
    drift_y: float

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int, hue: float) -> _Background:
        """Smooth noise over a gradient between two colours far from ``hue``."""
        margin = math.ceil(_DRIFT * size) + 1
        whole = size + 2 * margin
        cells = int(rng.integers(3, 10))
        noise = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
        noise = noise.resize((whole, whole), Image.Resampling.BICUBIC)
        turn, share = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.7)
        across, down = (
            np.linspace(-0.5, 0.5, whole)[None, :],
            np.linspace(-0.5, 0.5, whole)[:, None],
        )
        slope = 0.5 + across * math.cos(turn) + down * math.sin(turn)
        mix = np.clip((1 - share) * np.asarray(noise) + share * slope, 0, 1)[:, :, None]
        far = hue + rng.uniform(0.3, 0.7)
        near_colour = _colour(far, rng.uniform(0.2, 0.6), rng.uniform(0.12, 0.35))
        far_hue = far + rng.uniform(-0.15, 0.15)
        far_colour = _colour(far_hue, rng.uniform(0.2, 0.6), rng.uniform(0.4, 0.75))
        pixels = near_colour + (far_colour - near_colour) * mix
        drift_x, drift_y = rng.uniform(-_DRIFT / 2, _DRIFT / 2, 2) * size
        return cls(Image.fromarray(pixels.astype(np.uint8)), size, margin, drift_x, drift_y)

    def at(self, progress: float) -> Frames:
        """The part (S, S, 3) that is seen when the clip is ``progress`` (0 to 1) through."""
        left = self.margin + self.drift_x * (2 * progress - 1)
        top = self.margin + self.drift_y * (2 * progress - 1)
        box = (left, top, left + self.size, top + self.size)
        seen = self.picture.resize((self.size, self.size), Image.Resampling.BILINEAR, box)
        return np.array(seen)


def _distance(shape: str, u: Floats, v: Floats) -> Floats:
    """How far (u, v) lies beyond the edge of a shape of radius 1; negative inside."""
    if shape == "disc":
        return np.hypot(u, v) - 1
    if shape == "cross":
        across, down = np.abs(u), np.abs(v)
        bars: Floats = np.maximum(np.maximum(across, down) - 1, np.minimum(across, down) - 0.38)
        return bars
    corners = _CORNERS[shape]
    angles = [2 * math.pi * side / corners + math.pi / 2 for side in range(corners)]
    sides: list[Floats] = [u * math.cos(angle) + v * math.sin(angle) for angle in angles]
    furthest: Floats = np.maximum.reduce(sides)
    return furthest - {3: 0.6, 4: 0.82, 5: 0.88}[corners]


def _wave(texture: str, u: Floats, v: Floats, frequency: float) -> Floats:
    """A pattern about 0, in roughly -1..1."""
    if texture == "gradient":
        return 0.25 * u
    across: Floats = np.cos(frequency * u)
    if texture == "stripes":
        return across
    down: Floats = np.cos(frequency * v)
    return across + down - 0.7 if texture == "dots" else 2 * across * down


def _turned(x: Floats, y: Floats, angle: float) -> tuple[Floats, Floats]:
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)


def _shade(frame: Frames, gain: float) -> Frames:
    shaded: Frames = np.clip(frame * gain, 0, 255).astype(np.uint8)
    return shaded


def _colour(hue: float, saturation: float, value: float) -> Floats:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _render_file(folder: Path, seed: int, motion: str, number: int) -> None:
    path = folder / motion / f"{motion}_{number:04d}.mp4"
    if path.is_file():
        return
    rng = np.random.default_rng([seed, list(MOTIONS).index(motion), number])
    num_frames = int(rng.integers(_FEWEST_FRAMES, _MOST_FRAMES + 1))
    write_video(path, render_clip(motion, rng, num_frames), FRAMES_PER_SECOND)


def _check(motion: str, num_frames: int, size: int) -> None:
    if motion not in MOTIONS:
        raise DatasetError(
            f"motion {motion!r}", f"one of {', '.join(MOTIONS)}", nearest(motion, MOTIONS)
        )
    if num_frames < 2 or size < 16:
        raise DatasetError(
            f"a clip of {num_frames} frames of {size} pixels",
            "at least 2 frames of at least 16 pixels",
            "ask for more.",
        )
