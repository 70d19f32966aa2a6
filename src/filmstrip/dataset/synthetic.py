"""Rendered motions in ten classes, told apart by nothing but the order of their frames.

A textured shape moves before a drifting background. The classes are five pairs, and a clip of a
pair's second class is a clip of its first class played backwards. All else is drawn alike for
both, so a model that is blind to the order of frames can name the pair but not the class: its
accuracy cannot exceed one half, and what a recurrent network gains above that it owes to time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from filmstrip.dataset.synthetic_scene import Background, Course, Frames, Look, shade
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
    look = Look.draw(rng)
    background = Background.draw(rng, size, look.hue)
    frames = np.stack(
        [
            shade(look.paint(background.at(step), course, index), course.gain[index])
            for index, step in enumerate(course.progress)
        ]
    )
    return frames[::-1].copy() if is_reversed else frames


def _course(motion: str, rng: np.random.Generator, num_frames: int) -> Course:
    """The course of a motion; that of its reverse is the same read backwards."""
    time = np.linspace(0, 1, num_frames)
    # Slower or faster in the middle, the same from either end.
    progress = time + rng.uniform(-0.6, 0.6) * np.sin(2 * np.pi * time) / (2 * np.pi)
    size = rng.uniform(0.2, 0.3)
    turn, gain = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1)
    x, y = rng.uniform(0.9 * size, 1 - 0.9 * size, 2)
    still = np.ones(num_frames)
    course = Course(progress, x * still, y * still, size * still, turn * still, gain * still)
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
