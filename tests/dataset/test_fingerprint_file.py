from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.dataset.fingerprint_file import read_fingerprints, write_fingerprints


@pytest.fixture
def prints() -> dict[str, Fingerprint]:
    rng = np.random.default_rng(0)
    return {
        f"{number:040x}": Fingerprint(
            rng.random(length), rng.integers(0, 256, (length, 16, 16), dtype=np.uint8)
        )
        for number, length in enumerate((3, 1, 7))
    }


@pytest.mark.parametrize("number", [0, 1, 3])
def test_fingerprints_are_read_as_they_were_written(
    prints: dict[str, Fingerprint], tmp_path: Path, number: int
) -> None:
    some = dict(list(prints.items())[:number])
    write_fingerprints(tmp_path / "f.npz", some)
    found = read_fingerprints(tmp_path / "f.npz")
    assert list(found) == list(some)
    for content, one in some.items():
        np.testing.assert_array_equal(found[content].times_seconds, one.times_seconds)
        np.testing.assert_array_equal(found[content].thumbnails, one.thumbnails)


def test_damaged_fingerprints_count_as_none(prints: dict[str, Fingerprint], tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    assert read_fingerprints(path) == {}
    write_fingerprints(path, prints)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:200] + bytes(200) + whole[400:]):
        path.write_bytes(damaged)
        assert read_fingerprints(path) == {}
    np.savez(path, contents=np.array(["a"]), counts=[5], times_seconds=[0.0], thumbnails=[1])
    assert read_fingerprints(path) == {}
