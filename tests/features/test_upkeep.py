from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from filmstrip.errors import StorageError
from filmstrip.features.entry import ClipFacts
from filmstrip.features.store import FeatureStore
from filmstrip.features.upkeep import (
    DAMAGED,
    IN_USE_SECONDS,
    OTHER_VERSION,
    StoredFile,
    choose,
    faults,
    groups,
    leftovers,
    remove,
    stored_files,
    sweep,
    total_bytes,
)

FACTS = ClipFacts(8, 8, 1.0, 3)
HOURS = 3600
DAYS = 24 * HOURS
NOW = 1_000_000_000.0


def add(store: FeatureStore, name: str, age_seconds: float = 0, width: int = 4) -> str:
    key = store.key(name)
    store.write(key, torch.rand(3, width), FACTS, "bf16", "resnet50")
    age(store.path(key), age_seconds)
    return key


def age(path: Path, age_seconds: float) -> None:
    then = time.time() - age_seconds
    os.utime(path, (then, then))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


def test_entries_are_grouped_by_origin_precision_and_shape_whatever_their_length(
    store: FeatureStore,
) -> None:
    store.write(store.key("a"), torch.rand(3, 4), FACTS, "bf16", "resnet50")
    store.write(store.key("b"), torch.rand(9, 4), FACTS, "bf16", "resnet50")
    store.write(store.key("c"), torch.rand(3, 4), FACTS, "fp32", "resnet50")
    store.write(store.key("d"), torch.rand(3, 5), FACTS, "bf16", "resnet50")
    store.write(store.key("e"), torch.zeros(3, 8, 6, 3).byte(), FACTS, "frames", "frames")
    age(store.path(store.key("b")), 5 * DAYS)
    found = groups(store)
    assert [(group.origin, group.precision, group.frame_shape) for group in found] == [
        ("frames", "frames", (8, 6, 3)),
        ("resnet50", "bf16", (4,)),
        ("resnet50", "bf16", (5,)),
        ("resnet50", "fp32", (4,)),
    ]
    pair = found[1]
    sizes = [store.path(store.key(name)).stat().st_size for name in "ab"]
    assert (pair.num_entries, pair.num_bytes) == (2, sum(sizes))
    assert pair.last_use == store.path(store.key("a")).stat().st_mtime


def test_damaged_entries_and_those_of_another_version_are_groups_of_their_own(
    store: FeatureStore,
) -> None:
    damaged, foreign = add(store, "damaged"), add(store, "foreign")
    store.path(damaged).write_bytes(b"")
    store.path(foreign).write_bytes(save({"clip": torch.rand(2, 2)}, {"format": "0"}))
    assert [group.origin for group in groups(store)] == [OTHER_VERSION, DAMAGED]


def test_looking_is_no_use(store: FeatureStore) -> None:
    key = add(store, "a", 5 * DAYS)
    before = store.path(key).stat().st_mtime
    groups(store)
    assert list(faults(store, stored_files(store))) == [None]
    assert store.path(key).stat().st_mtime == before


@pytest.mark.parametrize("damage", ["cut", "zeroed", "emptied", "one bit"])
def test_damage_is_found_and_the_file_named(store: FeatureStore, damage: str) -> None:
    keys = [add(store, name, width=64) for name in "abcd"]
    path = store.path(keys[2])
    whole = path.read_bytes()
    flipped = whole[:-100] + bytes([whole[-100] ^ 8]) + whole[-99:]
    path.write_bytes(
        {"cut": whole[:-1], "zeroed": bytes(len(whole)), "emptied": b"", "one bit": flipped}[damage]
    )
    files = stored_files(store)
    found = {file.key: fault for file, fault in zip(files, faults(store, files), strict=True)}
    assert str(path) in str(found.pop(keys[2]))
    assert list(found.values()) == [None] * 3


def test_nothing_is_held_against_entries_of_another_version_or_just_removed(
    store: FeatureStore,
) -> None:
    foreign, removed = add(store, "foreign"), add(store, "removed")
    store.path(foreign).write_bytes(save({"clip": torch.rand(2, 2)}, {"format": "0"}))
    files = stored_files(store)
    store.path(removed).unlink()
    assert list(faults(store, files)) == [None, None]


def test_what_was_not_used_for_so_long_is_chosen() -> None:
    files = [StoredFile(str(days), 100, NOW - days * DAYS) for days in (1, 9, 4, 6)]
    chosen = choose(files, NOW, older_than_seconds=5 * DAYS)
    assert [file.key for file in chosen] == ["9", "6"]


def test_the_least_recently_used_go_until_the_rest_fits() -> None:
    files = [StoredFile(str(days), 100, NOW - days * DAYS) for days in (1, 9, 4, 6)]
    assert [file.key for file in choose(files, NOW, target_bytes=250)] == ["9", "6"]
    assert [file.key for file in choose(files, NOW, target_bytes=200)] == ["9", "6"]
    assert choose(files, NOW, target_bytes=400) == []


def test_both_rules_together_leave_what_satisfies_both() -> None:
    files = [StoredFile(str(days), 100, NOW - days * DAYS) for days in (1, 9, 4, 6)]
    chosen = choose(files, NOW, older_than_seconds=8 * DAYS, target_bytes=200)
    assert [file.key for file in chosen] == ["9", "6"]
    chosen = choose(files, NOW, older_than_seconds=3 * DAYS, target_bytes=300)
    assert [file.key for file in chosen] == ["9", "6", "4"]


@given(
    files=st.lists(
        st.builds(
            StoredFile,
            st.uuids().map(str),
            st.integers(1, 1000),
            st.floats(0, 60).map(lambda days: NOW - days * DAYS),
        )
    ),
    older_than_seconds=st.none() | st.floats(0, 60).map(lambda days: days * DAYS),
    target_bytes=st.none() | st.integers(0, 5000),
)
def test_pruning_reaches_its_aim_with_the_oldest_and_spares_what_is_in_use(
    files: list[StoredFile], older_than_seconds: float | None, target_bytes: int | None
) -> None:
    chosen = choose(files, NOW, older_than_seconds, target_bytes)
    kept = [file for file in files if file not in chosen]
    assert all(NOW - file.last_use > IN_USE_SECONDS for file in chosen)
    spare = [file for file in kept if NOW - file.last_use > IN_USE_SECONDS]
    if chosen and spare:
        assert max(file.last_use for file in chosen) <= min(file.last_use for file in spare)
    if older_than_seconds is not None:
        assert all(NOW - file.last_use <= older_than_seconds for file in spare)
    if target_bytes is not None and spare:
        assert total_bytes(kept) <= target_bytes
    if older_than_seconds is None and chosen:
        assert target_bytes is not None
        assert total_bytes(kept) + chosen[-1].num_bytes > target_bytes


def test_an_entry_that_is_used_after_it_was_looked_at_stays(store: FeatureStore) -> None:
    used, unused, gone = (add(store, name, 5 * DAYS) for name in ("used", "unused", "gone"))
    files = stored_files(store)
    store.read(used)
    store.path(gone).unlink()
    assert [file.key for file in remove(store, files)] == [unused]
    assert list(store.keys()) == [used]


def test_an_entry_that_is_gone_when_it_is_read_is_named_with_what_to_do(
    store: FeatureStore,
) -> None:
    key = add(store, "a", 5 * DAYS)
    assert store.entry(key) is not None
    remove(store, stored_files(store))
    with pytest.raises(StorageError, match=f"{key}.*is gone"):
        store.read(key)


def test_what_killed_processes_left_is_swept_and_what_the_living_hold_stays(
    store: FeatureStore,
) -> None:
    entry = store.path(add(store, "a", 5 * DAYS))
    old, young = (entry.with_name(f".{name}.part.safetensors") for name in ("old", "young"))
    for path, age_seconds in ((old, 2 * DAYS), (young, HOURS)):
        path.write_bytes(b"half")
        age(path, age_seconds)
    held, left = store.claim("held"), store.claims / "left"
    assert held is not None
    left.touch()
    assert leftovers(store) == [old]
    sweep(store)
    assert {path for path in store.folder.rglob("*") if path.is_file()} == {
        entry,
        young,
        held.path,
    }
    held.release()


def test_a_store_that_was_never_written_has_nothing_and_can_be_swept(store: FeatureStore) -> None:
    assert (stored_files(store), groups(store), leftovers(store)) == ([], [], [])
    sweep(store)
    assert not store.folder.exists()
