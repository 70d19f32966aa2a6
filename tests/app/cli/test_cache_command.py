from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from filmstrip.features.entry import ClipFacts
from filmstrip.features.store import FeatureStore

DAYS = 24 * 3600


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of six entries of about 10 kB, last used 0, 10, … 50 days ago."""
    folder = tmp_path / "cache"
    store = FeatureStore(folder / "features")
    for number in range(6):
        key = store.key(str(number))
        store.write(key, torch.rand(5, 500), ClipFacts(8, 8, 1.0, 5), "bf16", "resnet50")
        then = time.time() - number * 10 * DAYS
        os.utime(store.path(key), (then, then))
    return folder


@pytest.fixture
def cached(filmstrip: Callable[..., Any], cache: Path) -> Callable[..., Any]:
    """``cached("list", …)``: ``filmstrip cache list …`` on the cache."""
    return lambda name, *options: filmstrip("cache", name, "--cache", cache, *options)


def left(cache: Path) -> set[str]:
    """Which of the six are there still."""
    store = FeatureStore(cache / "features")
    numbers = {store.key(str(number)): str(number) for number in range(6)}
    return {numbers[key] for key in store.keys()}  # noqa: SIM118 (a store is no mapping)


def damage(cache: Path, number: int) -> Path:
    store = FeatureStore(cache / "features")
    path = store.path(store.key(str(number)))
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return path


def test_list_says_what_is_kept(cached: Callable[..., Any]) -> None:
    listed = cached("list")
    assert listed.exit_code == 0
    today = datetime.now().strftime("%Y-%m-%d")
    heading, line = listed.stdout.splitlines()
    assert heading.split() == ["from", "precision", "shape", "entries", "size", "last", "used"]
    assert re.fullmatch(rf"resnet50 +bf16 +500 +6 +\d+\.\d kB +{today} \d\d:\d\d *", line)


def test_list_as_json_is_read_by_a_program(cached: Callable[..., Any], cache: Path) -> None:
    listed = json.loads(cached("list", "--json").stdout)
    sizes = [path.stat().st_size for path in cache.rglob("*.safetensors")]
    [group] = listed["groups"]
    last_use = datetime.fromisoformat(group.pop("last_use"))
    assert last_use.timestamp() == pytest.approx(time.time(), abs=300)
    assert group == {
        "origin": "resnet50",
        "precision": "bf16",
        "frame_shape": [500],
        "num_entries": 6,
        "num_bytes": sum(sizes),
    }


def test_the_environment_says_which_cache_if_no_option_does(
    filmstrip: Callable[..., Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILMSTRIP_CACHE", str(cache))
    listed = json.loads(filmstrip("cache", "list", "--json").stdout)
    assert listed["folder"] == str(cache / "features")
    assert listed["groups"][0]["num_entries"] == 6


def test_an_empty_cache_is_no_error(filmstrip: Callable[..., Any], tmp_path: Path) -> None:
    assert "Nothing is kept" in filmstrip("cache", "list", "--cache", tmp_path).stderr
    listed = json.loads(filmstrip("cache", "list", "--cache", tmp_path, "--json").stdout)
    assert listed["groups"] == []
    assert filmstrip("cache", "size", "--cache", tmp_path).stdout.split()[-2:] == ["0", "bytes"]
    assert filmstrip("cache", "verify", "--cache", tmp_path).exit_code == 0
    assert "Removed 0 entries" in filmstrip("cache", "prune", "--cache", tmp_path, "--all").stderr


def test_size_adds_up_shapes_and_tells_of_leftovers(
    cached: Callable[..., Any], cache: Path
) -> None:
    store = FeatureStore(cache / "features")
    store.write(store.key("wide"), torch.rand(5, 900), ClipFacts(8, 8, 1.0, 5), "bf16", "resnet50")
    store.write(store.key("f"), torch.zeros(5, 8, 8, 3).byte(), ClipFacts(8, 8, 1.0, 5), "frames")
    measured = cached("size")
    assert measured.stderr == ""
    rows = [line.split() for line in measured.stdout.splitlines()[1:]]
    assert [row[:-2] for row in rows] == [["frames", "1"], ["resnet50", "bf16", "7"], ["all", "8"]]
    in_all = sum(path.stat().st_size for path in cache.rglob("*.safetensors"))
    assert float(rows[-1][-2]) == pytest.approx(in_all / 1000, abs=0.06)
    half = store.path(store.key("wide")).with_name(".0.part.safetensors")
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    assert "1 half-written file" in cached("size").stderr


def test_verify_is_content_with_a_sound_cache(cached: Callable[..., Any]) -> None:
    verified = cached("verify")
    assert (verified.exit_code, verified.stdout) == (0, "")
    assert "Verifying: 6/6" in verified.stderr
    assert "0 damaged" in verified.stderr


def test_verify_names_what_is_damaged_and_fails(cached: Callable[..., Any], cache: Path) -> None:
    damaged = {str(damage(cache, 1)), str(damage(cache, 4))}
    verified = cached("verify")
    assert verified.exit_code == 1
    assert {line.partition(":")[0] for line in verified.stdout.splitlines()} == damaged
    assert "2 of 6 entries are damaged" in verified.stderr
    assert "filmstrip cache verify --delete" in verified.stderr
    assert left(cache) == set("012345")


def test_verify_removes_what_is_damaged_when_told_to(
    cached: Callable[..., Any], cache: Path
) -> None:
    path = damage(cache, 1)
    verified = cached("verify", "--delete")
    assert verified.exit_code == 0
    assert str(path) in verified.stdout
    assert "Removed 1 entry" in verified.stderr
    assert left(cache) == set("02345")
    assert cached("verify").exit_code == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--older-than", "25"], "012"),
        (["--older-than", "0"], "0"),
        (["--to", "33kB"], "012"),
        (["--to", "32KiB"], "012"),
        (["--to", "0.04MB"], "012"),
        (["--to", "1GB"], "012345"),
        (["--to", "0B"], "0"),
        (["--older-than", "45", "--to", "45kB"], "0123"),
        (["--all"], ""),
    ],
)
def test_prune_removes_what_it_is_told_to(
    cached: Callable[..., Any], cache: Path, options: list[str], expected: str
) -> None:
    foretold = cached("prune", *options, "--dry-run")
    assert left(cache) == set("012345")
    pruned = cached("prune", *options)
    assert pruned.exit_code == 0
    assert left(cache) == set(expected)
    num_removed = 6 - len(expected)
    assert f"Removed {num_removed} entr" in pruned.stderr
    assert pruned.stderr == foretold.stderr.replace("Would remove", "Removed")


def test_what_is_known_of_engines_and_videos_is_measured_and_goes_with_all(
    cached: Callable[..., Any], cache: Path
) -> None:
    number = 32 * "a"
    ours = [
        f"engines/{number}.onnx",
        f"engines/int8-{number}/model.xml",
        f"doctor-2/aa/{number}.json",
    ]
    for name in ours:
        (cache / name).parent.mkdir(parents=True)
        (cache / name).write_bytes(bytes(1000))
    assert "Beside them 3 files (3.0 kB)" in cached("size").stderr
    cached("prune", "--to", "0B")
    cached("prune", "--all", "--dry-run")
    assert all((cache / name).exists() for name in ours)
    assert "and 3 files (3.0 kB) beside them" in cached("prune", "--all").stderr
    assert not any((cache / name).exists() for name in ours)
    # An empty copy would be taken for a calibrated one.
    assert list((cache / "engines").iterdir()) == []
    assert "Beside them" not in cached("size").stderr


@pytest.mark.parametrize(
    "name",
    [
        "engines/.0a.part.onnx",  # half-written by another process
        "engines/tmp0a/whole/model.xml",
        f"engines/int8-{32 * 'a'}.lock",
        "engines/notes.txt",
        "photos-2024/ab/places.json",
        f"photos-2024/ab/{32 * 'a'}.json",
        "thesis.md",
    ],
)
def test_prune_never_removes_what_is_not_ours_or_not_finished(
    cached: Callable[..., Any], cache: Path, name: str
) -> None:
    (cache / name).parent.mkdir(parents=True, exist_ok=True)
    (cache / name).write_text("precious")
    assert cached("prune", "--all").exit_code == 0
    assert (cache / name).read_text() == "precious"


def test_prune_says_why_it_stays_above_its_aim(cached: Callable[..., Any]) -> None:
    assert "within the last two hours; --all" in cached("prune", "--to", "1kB").stderr
    assert "within the last two hours" not in cached("prune", "--to", "1MB").stderr


def test_prune_sweeps_what_killed_processes_left_but_not_when_it_only_tells(
    cached: Callable[..., Any], cache: Path
) -> None:
    store = FeatureStore(cache / "features")
    store.claims.mkdir()
    (store.claims / "dead").touch()
    cached("prune", "--to", "1GB", "--dry-run")
    assert (store.claims / "dead").exists()
    cached("prune", "--to", "1GB")
    assert not (store.claims / "dead").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "say what is to go"),
        (["--all", "--to", "1GB"], "--all alone"),
        (["--to", "20"], "not a size with its unit"),
        (["--to", "1,000GB"], "not a size with its unit"),
        (["--to=-1GB"], "not a size with its unit"),
        (["--to", "20GB or so"], "not a size with its unit"),
        (["--older-than=-1"], "Invalid value for '--older-than'"),
        (["--older-than", "a week"], "Invalid value for '--older-than'"),
    ],
)
def test_a_slip_in_what_to_prune_removes_nothing(
    cached: Callable[..., Any], cache: Path, options: list[str], told: str
) -> None:
    refused = cached("prune", *options)
    assert refused.exit_code == 2
    assert told in " ".join(re.sub(r"[│╭╮╰╯─]", " ", refused.stderr).split())
    assert left(cache) == set("012345")


def test_a_mistyped_folder_is_refused(filmstrip: Callable[..., Any], tmp_path: Path) -> None:
    refused = filmstrip("cache", "list", "--cache", tmp_path / "absent")
    assert refused.exit_code == 2
    assert "does not exist" in " ".join(re.sub(r"[│╭╮╰╯─]", " ", refused.stderr).split())
