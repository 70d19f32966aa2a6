from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from filmstrip.errors import StorageError
from filmstrip.features.entry import ClipFacts, Entry
from filmstrip.features.store import FeatureStore

FACTS = ClipFacts(width=320, height=240, duration_seconds=2.5, num_frames=60)
DAYS = 24 * 3600

WRITE_FOR_EVER = """
import itertools, sys, torch
from pathlib import Path
from filmstrip.features.entry import ClipFacts
from filmstrip.features.store import FeatureStore

store = FeatureStore(Path(sys.argv[1]))
for number in itertools.count():
    features = torch.full((50, 2000), float(number % 7))
    store.write(store.key(str(number % 7)), features, ClipFacts(8, 8, 1.0, 50))
    print(number, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


def flip(path: Path, place: int, bits: int = 1) -> None:
    """Change one byte of a file in its place, as a failing disk does."""
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)


@pytest.mark.parametrize(
    "tensor",
    [torch.rand(5, 7), torch.randint(256, (5, 4, 4, 3), dtype=torch.uint8)],
    ids=["features", "frames"],
)
def test_an_entry_is_read_back_as_it_was_written(store: FeatureStore, tensor: torch.Tensor) -> None:
    key = store.key("clip", "backbone")
    store.write(key, tensor, FACTS, "bf16", "resnet50")
    assert torch.equal(store.read(key), tensor)
    assert store.read(key).dtype == tensor.dtype
    assert torch.equal(store.read(key, slice(2, 4)), tensor[2:4])
    assert store.length(key) == 5
    assert store.entry(key) == Entry(FACTS, "bf16", "resnet50", tuple(tensor.shape))
    assert list(store.keys()) == [key]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_features_of_any_floating_type_come_back_in_single_precision(
    store: FeatureStore, kind: torch.dtype
) -> None:
    features = torch.rand(4, 6).to(kind)
    store.write(store.key("a"), features, FACTS)
    assert store.read(store.key("a")).dtype == torch.float32
    assert torch.equal(store.read(store.key("a")), features.float())


def test_a_clip_without_frames_is_an_entry_too(store: FeatureStore) -> None:
    store.write(store.key("a"), torch.empty(0, 6), FACTS)
    assert store.read(store.key("a")).shape == (0, 6)
    assert store.length(store.key("a")) == 0


def test_a_tensor_that_is_a_view_is_written_as_it_looks(store: FeatureStore) -> None:
    tensor = torch.rand(7, 5).T[1:4]
    store.write(store.key("a"), tensor, FACTS)
    assert torch.equal(store.read(store.key("a")), tensor)


def test_an_unknown_duration_stays_unknown(store: FeatureStore) -> None:
    store.write(store.key("a"), torch.zeros(1, 1), ClipFacts(8, 8, math.nan, 3))
    entry = store.entry(store.key("a"))
    assert entry is not None
    assert math.isnan(entry.facts.duration_seconds)


def test_keys_differ_with_each_part_and_with_where_a_part_ends(store: FeatureStore) -> None:
    keys = {
        store.key(*parts) for parts in [("a", "b"), ("ab",), ("ab", ""), ("a", "c"), ("b", "a")]
    }
    assert len(keys) == 5
    assert store.key("a", "b") == FeatureStore(Path("elsewhere")).key("a", "b")


def test_an_absent_entry_is_none_and_reading_it_says_that_it_is_gone(store: FeatureStore) -> None:
    assert store.entry(store.key("a")) is None
    assert list(store.keys()) == []
    for read in (store.read, store.length):
        with pytest.raises(StorageError, match="gone") as caught:
            read(store.key("a"))
        assert "--resume" in caught.value.remedy


@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten", "zeroed", "of another make"])
def test_a_damaged_entry_is_none_and_can_be_written_anew(store: FeatureStore, damage: str) -> None:
    key = store.key("a")
    store.write(key, torch.rand(50, 7), FACTS)
    path = store.path(key)
    whole = path.read_bytes()
    damaged = {
        "cut": whole[:-10],
        "emptied": b"",
        "overwritten": b"x" * 500,
        "zeroed": bytes(len(whole)),
        "of another make": save({"clip": torch.rand(50, 7)}),
    }
    path.write_bytes(damaged[damage])
    assert store.entry(key) is None
    with pytest.raises(StorageError):
        store.read(key)
    store.write(key, torch.ones(2, 7), FACTS)
    entry = store.entry(key)
    assert entry is not None
    assert entry.facts == FACTS


@pytest.mark.parametrize("damage", ["one bit", "zeroed from the middle on"])
def test_damage_to_the_tensor_is_found_when_it_is_read(store: FeatureStore, damage: str) -> None:
    key = store.key("a")
    store.write(key, torch.rand(20, 64), FACTS)
    path = store.path(key)
    if damage == "one bit":
        flip(path, -1)
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    assert store.entry(key) is not None
    with pytest.raises(StorageError) as caught:
        store.read(key)
    assert str(path) in caught.value.given
    assert "filmstrip cache verify --delete" in caught.value.remedy
    assert "--resume" in caught.value.remedy
    assert store.fault(key) == caught.value.given


def test_a_part_is_read_without_the_damaged_frame_beside_it(store: FeatureStore) -> None:
    key = store.key("a")
    features = torch.rand(20, 64)
    store.write(key, features, FACTS)
    flip(store.path(key), -1)
    assert torch.equal(store.read(key, slice(0, 19)), features[:19])
    with pytest.raises(StorageError):
        store.read(key, slice(19, 20))


@given(data=st.data())
def test_no_changed_byte_passes_unnoticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = FeatureStore(tmp_path_factory.mktemp("features"))
    key = store.key("a")
    features = torch.rand(3, 2)
    store.write(key, features, FACTS, "fp32", "resnet50")
    written = store.entry(key)
    path = store.path(key)
    place = data.draw(st.integers(0, path.stat().st_size - 1))
    flip(path, place, data.draw(st.integers(1, 255)))
    entry = store.entry(key)
    try:
        read = store.read(key)
    except StorageError:
        return
    assert entry == written
    assert read.dtype == features.dtype
    assert torch.equal(read, features)


def test_an_entry_under_another_s_name_is_not_taken_for_it(store: FeatureStore) -> None:
    mine, other = store.key("mine"), store.key("other")
    store.write(mine, torch.rand(3, 2), FACTS)
    store.write(other, torch.rand(3, 2), FACTS)
    shutil.copy(store.path(other), store.path(mine))
    assert store.entry(mine) is None
    assert store.fault(mine) is not None
    assert store.fault(other) is None


def test_what_was_read_stays_when_its_file_is_written_over_or_removed(store: FeatureStore) -> None:
    key = store.key("a")
    features = torch.rand(30, 500)
    store.write(key, features, FACTS)
    read = store.read(key)
    path = store.path(key)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    path.unlink()
    assert torch.equal(read, features)


def test_a_use_is_noted_but_not_at_every_reading_nor_at_a_look(store: FeatureStore) -> None:
    key = store.key("a")
    store.write(key, torch.rand(3, 2), FACTS)
    path = store.path(key)

    def time_noted(use: Callable[[str], object], age_seconds: float) -> float:
        then = time.time() - age_seconds
        os.utime(path, (then, then))
        use(key)
        return path.stat().st_mtime - then

    for use in (store.entry, store.read):
        assert time_noted(use, 2 * DAYS) == pytest.approx(2 * DAYS, abs=60)
        assert time_noted(use, 600) == pytest.approx(0, abs=0.01)
    for look in (store.describe, store.fault, store.length):
        assert time_noted(look, 2 * DAYS) == pytest.approx(0, abs=0.01)


def test_a_full_disk_is_a_storage_error_and_leaves_no_entry(
    store: FeatureStore, largest_file: Callable[[int], AbstractContextManager[None]]
) -> None:
    with largest_file(1000), pytest.raises(StorageError):
        store.write(store.key("a"), torch.rand(50, 50), FACTS)
    assert store.entry(store.key("a")) is None
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_what_a_killed_process_left_half_written_is_no_entry(store: FeatureStore) -> None:
    store.write(store.key("a"), torch.rand(2, 2), FACTS)
    [path] = store.folder.rglob("*.safetensors")
    (path.parent / ".0123.part.safetensors").write_bytes(b"half")
    assert list(store.keys()) == [store.key("a")]


def test_a_writer_that_is_killed_leaves_each_entry_whole_or_absent(store: FeatureStore) -> None:
    for milliseconds in (0, 1, 3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(store.folder)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(10):
            writer.stdout.readline()
        time.sleep(milliseconds / 1000)
        writer.kill()
        writer.communicate()
        assert len(list(store.keys())) == 7
        for number in range(7):
            key = store.key(str(number))
            assert store.fault(key) is None
            assert torch.equal(store.read(key), torch.full((50, 2000), float(number)))


def test_a_claim_is_no_entry_and_is_free_again_once_released(store: FeatureStore) -> None:
    key = store.key("a")
    claim = store.claim(key)
    assert claim is not None
    assert store.claim(key) is None
    other = store.claim(store.key("b"))
    assert other is not None
    assert list(store.keys()) == []
    claim.release()
    store.wait(key)
    again = store.claim(key)
    assert again is not None
    again.release()
    other.release()
