"""What a rendered clip is drawn with: a textured shape before a drifting background."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Corners of the regular polygons; a disc has none, and a cross is made of two bars.
_CORNERS = {"triangle": 3, "square": 4, "pentagon": 5}
_SHAPES = ("disc", "cross", *_CORNERS)
_TEXTURES = ("stripes", "checks", "dots", "gradient")
# How far the background drifts over a clip, at most, as a share of the frame's side.
_DRIFT = 0.06

Floats = NDArray[np.float64]
Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Course:
    """How a shape moves: each an array (T,); lengths are shares of the frame's side."""

    progress: Floats
    x: Floats
    y: Floats
    radius: Floats
    angle: Floats
    gain: Floats


@dataclass(frozen=True, slots=True)
class Look:
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
    def draw(cls, rng: np.random.Generator) -> Look:
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

    def paint(self, frame: Frames, course: Course, index: int) -> Frames:
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
class Background:
    """A soft picture, larger than a frame, over which the frame slides."""

    picture: Image.Image
    size: int
    margin: int
    drift_x: float
    drift_y: float

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int, hue: float) -> Background:
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


def shade(frame: Frames, gain: float) -> Frames:
    """A frame as bright as ``gain`` says, in the same shape."""
    shaded: Frames = np.clip(frame * gain, 0, 255).astype(np.uint8)
    return shaded


def _colour(hue: float, saturation: float, value: float) -> Floats:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))
