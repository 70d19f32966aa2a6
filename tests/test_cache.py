"""Where the cache lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.cache import Cache, default_cache


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
