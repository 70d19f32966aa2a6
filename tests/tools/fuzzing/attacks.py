"""A number becomes one damaged input and the command that reads it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzzing.mutations import (
    Rng,
    damaged_bytes,
    damaged_json,
    damaged_npz,
    damaged_safetensors,
    damaged_text,
)
from fuzzing.seeds import Seeds


@dataclass(frozen=True)
class Attack:
    """One damaged input.

    Attributes:
        target: what kind of input it is, and which command reads it.
        arguments: the command line, without the program's name.
        input: the damaged file or folder.
    """

    target: str
    arguments: tuple[str, ...]
    input: Path


def make_attack(seeds: Seeds, seed: int, number: int, folder: Path) -> Attack:
    """Write the damaged input of this number into ``folder``, which is empty."""
    rng = np.random.default_rng((seed, number))
    names = list(TARGETS)
    weights = np.array([TARGETS[name][0] for name in names], dtype=float)
    target = names[rng.choice(len(names), p=weights / weights.sum())]
    return TARGETS[target][1](target, seeds, rng, folder)


def _media(command: str) -> Callable[[str, Seeds, Rng, Path], Attack]:
    def make(target: str, seeds: Seeds, rng: Rng, folder: Path) -> Attack:
        source = _one_of(seeds.media, rng)
        data = damaged_bytes(source.read_bytes(), rng, _one_of(seeds.media, rng).read_bytes())
        # Half of the files lie about what they are.
        suffix = source.suffix if rng.random() < 0.9 else _one_of(seeds.media, rng).suffix
        if command == "doctor":
            data_folder = folder / "data"
            for path in seeds.classes.glob("*/*_[01].mp4"):
                link = data_folder / path.relative_to(seeds.classes)
                link.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, link)
            clip = data_folder / "left" / f"mutated{suffix}"
        else:
            clip = folder / f"mutated{suffix}"
        clip.write_bytes(data)
        arguments = {
            "predict": ("predict", seeds.model, clip, seeds.clip, "--json"),
            "timeline": ("timeline", seeds.model, clip, "--window", "2", *_outputs(folder)),
            "stream": ("stream", seeds.model, clip, "--json"),
            "extract": ("extract", clip, "--out", folder / "features", *_SMALL_BACKBONE),
            "doctor": ("doctor", folder / "data", "--json"),
        }[command]
        return Attack(target, tuple(map(str, arguments)), clip)

    return make


_SMALL_BACKBONE = (
    *("--recipe", "cnn-lstm", "--set", "framing.size=32", "--set", "backbone.trainable=0"),
)


def _outputs(folder: Path) -> tuple[object, ...]:
    return ("--out", folder / "segments.json", "--out", folder / "segments.vtt")


def _model(target: str, seeds: Seeds, rng: Rng, folder: Path) -> Attack:
    model = folder / "model"
    shutil.copytree(seeds.model, model)
    config, weights = model / "config.json", model / "model.safetensors"
    kind = rng.integers(4)
    if kind == 0:
        config.write_bytes(damaged_text(config.read_bytes(), rng))
    elif kind < 3:
        config.write_bytes(damaged_json(config.read_bytes(), rng))
    if kind in (2, 3):
        weights.write_bytes(damaged_safetensors(weights.read_bytes(), rng))
    arguments: tuple[object, ...] = _one_of(
        (
            ("predict", model, seeds.clip, "--json"),
            ("stream", model, seeds.clip, "--json"),
            ("timeline", model, seeds.clip, "--window", "1", *_outputs(folder)),
            ("evaluate", model, seeds.classes, "--json"),
        ),
        rng,
    )
    return Attack(target, tuple(map(str, arguments)), model)


def _packed(target: str, seeds: Seeds, rng: Rng, folder: Path) -> Attack:
    source = _one_of(seeds.packed, rng)
    data = source.read_bytes()
    path = folder / f"mutated{source.suffix}"
    path.write_bytes(
        damaged_npz(data, rng) if source.suffix == ".npz" else damaged_bytes(data, rng)
    )
    arguments: tuple[object, ...] = _one_of(
        (
            ("split", path, "--json"),
            ("extract", path, "--out", folder / "features", *_SMALL_BACKBONE),
            ("doctor", path, "--json"),
        ),
        rng,
    )
    return Attack(target, tuple(map(str, arguments)), path)


def _table(target: str, seeds: Seeds, rng: Rng, folder: Path) -> Attack:
    data = folder / "data"
    data.mkdir()
    for path in seeds.classes.iterdir():
        (data / path.name).symlink_to(path)
    source = _one_of(seeds.tables, rng)
    table = data / f"mutated{source.suffix}"
    table.write_bytes(damaged_text(source.read_bytes(), rng))
    return Attack(target, ("split", str(table), "--json"), table)


def _lists(target: str, seeds: Seeds, rng: Rng, folder: Path) -> Attack:
    lists = folder / "lists"
    shutil.copytree(seeds.lists, lists)
    path = _one_of(tuple(sorted(lists.iterdir())), rng)
    path.write_bytes(damaged_text(path.read_bytes(), rng))
    return Attack(target, ("split", str(seeds.classes), "--lists", str(lists), "--json"), lists)


def _quarantine(target: str, seeds: Seeds, rng: Rng, folder: Path) -> Attack:
    path = folder / "mutated.csv"
    path.write_bytes(damaged_text(seeds.quarantine.read_bytes(), rng))
    arguments = ("split", seeds.classes, "--quarantine", path, "--json")
    return Attack(target, tuple(map(str, arguments)), path)


def _recipe(target: str, seeds: Seeds, rng: Rng, folder: Path) -> Attack:
    path = folder / "mutated.yaml"
    path.write_bytes(damaged_text(_one_of(seeds.recipes, rng).read_bytes(), rng))
    return Attack(target, ("recipes", str(path)), path)


def _one_of(choices: tuple, rng: Rng):  # type: ignore[no-untyped-def, type-arg]
    return choices[rng.integers(len(choices))]


TARGETS: dict[str, tuple[int, Callable[[str, Seeds, Rng, Path], Attack]]] = {
    "media: predict": (22, _media("predict")),
    "media: timeline": (12, _media("timeline")),
    "media: stream": (12, _media("stream")),
    "media: extract": (8, _media("extract")),
    "media: doctor": (6, _media("doctor")),
    "model folder": (14, _model),
    "packed file": (9, _packed),
    "table": (8, _table),
    "official lists": (4, _lists),
    "quarantine": (2, _quarantine),
    "recipe": (5, _recipe),
}
"""Each kind of input, how often it comes, and what makes it."""
