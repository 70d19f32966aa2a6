from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from filmstrip.errors import StorageError
from filmstrip.features.store import ClipFacts, FeatureStore, default_cache

FACTS = ClipFacts(width=320, height=240, duration_seconds=2.5, num_frames=60)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


@pytest.mark.parametrize(
    "tensor",
    [torch.rand(5, 7), torch.randint(256, (5, 4, 4, 3), dtype=torch.uint8)],
    ids=["features", "frames"],
)
def test_an_entry_is_read_back_as_it_was_written(store: FeatureStore, tensor: torch.Tensor) -> None:
    key = store.key("clip", "backbone")
    store.write(key, tensor, FACTS)
    assert torch.equal(store.read(key), tensor)
    assert store.read(key).dtype == tensor.dtype
    assert torch.equal(store.read(key, slice(2, 4)), tensor[2:4])
    assert store.length(key) == 5
    assert store.facts(key) == FACTS
    assert list(store.keys()) == [key]


def test_a_tensor_that_is_a_view_is_written_as_it_looks(store: FeatureStore) -> None:
    tensor = torch.rand(7, 5).T[1:4]
    store.write(store.key("a"), tensor, FACTS)
    assert torch.equal(store.read(store.key("a")), tensor)


def test_an_unknown_duration_stays_unknown(store: FeatureStore) -> None:
    store.write(store.key("a"), torch.zeros(1, 1), ClipFacts(8, 8, math.nan, 3))
    facts = store.facts(store.key("a"))
    assert facts is not None
    assert math.isnan(facts.duration_seconds)


def test_keys_differ_with_each_part_and_with_where_a_part_ends(store: FeatureStore) -> None:
    keys = {
        store.key(*parts) for parts in [("a", "b"), ("ab",), ("ab", ""), ("a", "c"), ("b", "a")]
    }
    assert len(keys) == 5
    assert store.key("a", "b") == FeatureStore(Path("elsewhere")).key("a", "b")


def test_an_absent_entry_has_no_facts(store: FeatureStore) -> None:
    assert store.facts(store.key("a")) is None
    assert list(store.keys()) == []


@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten", "of another make"])
def test_a_damaged_entry_has_no_facts_and_can_be_written_anew(
    store: FeatureStore, damage: str
) -> None:
    key = store.key("a")
    store.write(key, torch.rand(50, 7), FACTS)
    [path] = store.folder.rglob(f"{key}*")
    whole = path.read_bytes()
    if damage == "of another make":
        from safetensors.torch import save

        path.write_bytes(save({"clip": torch.rand(50, 7)}))
    else:
        path.write_bytes({"cut": whole[:-10], "emptied": b"", "overwritten": b"x" * 500}[damage])
    assert store.facts(key) is None
    store.write(key, torch.ones(2, 7), FACTS)
    assert store.facts(key) == FACTS


def test_a_full_disk_is_a_storage_error_and_leaves_no_entry(
    store: FeatureStore, largest_file: Callable[[int], AbstractContextManager[None]]
) -> None:
    with largest_file(1000), pytest.raises(StorageError):
        store.write(store.key("a"), torch.rand(50, 50), FACTS)
    assert store.facts(store.key("a")) is None
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_what_a_killed_process_left_half_written_is_no_entry(store: FeatureStore) -> None:
    store.write(store.key("a"), torch.rand(2, 2), FACTS)
    [path] = store.folder.rglob("*.safetensors")
    (path.parent / ".0123.part.safetensors").write_bytes(b"half")
    assert list(store.keys()) == [store.key("a")]


def test_the_cache_lies_where_the_environment_says_else_in_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FILMSTRIP_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"
    monkeypatch.delenv("FILMSTRIP_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "filmstrip"
