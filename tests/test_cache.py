"""Where the cache lies."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from filmstrip.cache import Cache, default_cache, keep
from filmstrip.errors import StorageError
from filmstrip.features.store import FeatureStore


def test_the_cache_lies_where_the_environment_says_else_in_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FILMSTRIP_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"
    monkeypatch.delenv("FILMSTRIP_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "filmstrip"


def test_a_folder_that_is_given_is_the_cache(tmp_path: Path) -> None:
    assert Cache.at(tmp_path).features.parent == tmp_path
    assert Cache.at(None).folder == default_cache()


def test_default_cache_of_a_user_without_home_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FILMSTRIP_CACHE")
    monkeypatch.setattr(Path, "home", no_home)
    warnings: list[str] = []
    keep(default_cache() / "x.json", b"x", default_cache(), warnings.append)
    assert len(warnings) == 1


def test_keep_writes_the_file(tmp_path: Path) -> None:
    keep(tmp_path / "a" / "x.json", b"content", tmp_path, pytest.fail)
    assert (tmp_path / "a" / "x.json").read_bytes() == b"content"


def test_keep_warns_once_where_the_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where a folder is expected")
    warnings: list[str] = []
    for name in ("a", "b"):
        keep(tmp_path / "cache" / name / "x.json", b"", tmp_path / "cache", warnings.append)
    assert len(warnings) == 1
    assert "Not a directory" in warnings[0]
    assert "FILMSTRIP_CACHE" in warnings[0]


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_keep_goes_on_whatever_the_system_refuses(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    warnings: list[str] = []
    keep(tmp_path / "x.json", b"", tmp_path, warnings.append)
    assert len(warnings) == 1
    assert list(tmp_path.iterdir()) == []


def test_needing_cache_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    store = FeatureStore(tmp_path / "cache" / "features")
    with pytest.raises(StorageError) as error:
        store.claim("0" * 40)
    assert "FILMSTRIP_CACHE" in error.value.remedy
