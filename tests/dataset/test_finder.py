from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from filmstrip.dataset.clip_finder import ClipFinder
from filmstrip.dataset.finder import FileFinder
from filmstrip.dataset.rows import SkippedFile, left_out_summary

NFC, NFD = (unicodedata.normalize(form, "hüpfen/å.mp4") for form in ("NFC", "NFD"))


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(("stored", "named"), [(NFC, NFD), (NFD, NFC)])
def test_finder_finds_the_other_unicode_form(tmp_path: Path, stored: str, named: str) -> None:
    touch(tmp_path, stored)
    assert FileFinder(tmp_path).find(named) == tmp_path / stored


def test_finder_finds_another_case_in_folders_and_files(tmp_path: Path) -> None:
    touch(tmp_path, "HandStandPushups/v_A_g01.avi")
    found = FileFinder(tmp_path).find("HandstandPushups/V_a_G01.AVI")
    assert found == tmp_path / "HandStandPushups/v_A_g01.avi"


def test_finder_prefers_the_exact_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "A.mp4", NFC, NFD)
    finder = FileFinder(tmp_path)
    assert finder.find("A.mp4") == tmp_path / "A.mp4"
    assert finder.find(NFD) == tmp_path / NFD


def test_finder_does_not_guess_between_two_files(tmp_path: Path) -> None:
    touch(tmp_path, "a.MP4", "A.mp4")
    assert FileFinder(tmp_path).find("A.MP4") is None


def test_finder_follows_dots_and_absolute_names(tmp_path: Path) -> None:
    touch(tmp_path, "Videos/Walk/a.mp4", "lists/x.csv")
    finder = FileFinder(tmp_path / "lists")
    for name in ("../videos/walk/A.mp4", f"{tmp_path}/videos/walk/a.mp4"):
        found = finder.find(name)
        assert found is not None
        assert found.resolve() == tmp_path / "Videos/Walk/a.mp4"


def test_finder_finds_no_folder_and_nothing_below_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "walk/a.mp4")
    finder = FileFinder(tmp_path)
    assert finder.find("WALK") is None
    assert finder.find("walk/A.mp4/b.mp4") is None
    assert finder.find("x" * 5000) is None


@pytest.mark.parametrize("name", ["x" * 300, f"a/{'x' * 300}.mp4", "null\0.mp4"])
def test_finder_finds_no_file_under_an_impossible_name(tmp_path: Path, name: str) -> None:
    assert FileFinder(tmp_path).find(name) is None
    assert ClipFinder(tmp_path).find({"path": name}) == []
    notes = [SkippedFile(tmp_path / name, "no such file", kind="missing")]
    assert left_out_summary(notes).startswith("Left out: 1 ")
