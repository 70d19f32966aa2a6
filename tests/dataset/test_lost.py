from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.dataset.doctor.quarantine import leave_out
from filmstrip.dataset.index import open_index
from filmstrip.dataset.lost import check_no_class_is_lost
from filmstrip.errors import DatasetError


def folder_of(root: Path, **clips: int) -> Path:
    """A class folder with so many empty files for each name."""
    for label, count in clips.items():
        (root / label).mkdir(parents=True)
        for i in range(count):
            (root / label / f"{i}.mp4").touch()
    return root


def test_a_class_of_one_clip_is_lost_and_refused_by_name(tmp_path: Path) -> None:
    index = open_index(folder_of(tmp_path, hug=2, kick=2, wave=1))
    with pytest.raises(DatasetError, match=r"1 class is lost: wave \(wave: 0.mp4, it is the only"):
        check_no_class_is_lost(index, allowed=False)
    check_no_class_is_lost(index, allowed=True)
    assert any("WARNING: 1 class is lost: wave" in sentence for sentence in index.summary())


def test_a_class_of_which_a_table_finds_no_file_is_lost(tmp_path: Path) -> None:
    folder_of(tmp_path, hug=2, kick=2)
    table = tmp_path / "clips.csv"
    rows = [f"{label}/{i}.mp4,{label}" for label in ("hug", "kick", "wave") for i in (0, 1)]
    table.write_text("\n".join(["path,label", *rows]))
    assert list(open_index(table).lost_classes) == ["wave"]


def test_a_quarantine_that_takes_a_whole_class_loses_it(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", hug=2, kick=2, wave=2)
    (tmp_path / "bad.csv").write_text("path,reason\nwave/0.mp4,corrupt\nwave/1.mp4,corrupt\n")
    index = leave_out(open_index(tmp_path / "data"), tmp_path / "bad.csv")
    assert [file.reason for file in index.lost_classes["wave"]] == ["quarantined: corrupt"] * 2


def test_a_quarantine_that_leaves_one_class_is_named_as_the_cause(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", hug=2, kick=2)
    (tmp_path / "bad.csv").write_text("path,reason\nhug/0.mp4,corrupt\n")
    with pytest.raises(DatasetError, match=r"1 of 4 clips are named by .*bad\.csv"):
        leave_out(open_index(tmp_path / "data"), tmp_path / "bad.csv")
