from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from filmstrip.dataset.index import VideoIndex, open_index
from filmstrip.errors import DatasetError


def index_of(folder: Path, text: str, encoding: str = "utf-8") -> VideoIndex:
    """Index a CSV beside four empty videos a.mp4 … d.mp4 and one in a folder, ü/e.mp4."""
    (folder / "ü").mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "ü/e.mp4"):
        (folder / name).touch()
    path = folder / "clips.csv"
    path.write_bytes(text.encode(encoding))
    return open_index(path)


def test_paths_are_relative_to_the_csv_or_absolute(tmp_path: Path) -> None:
    lines = f"path,label\na.mp4,hug\n{tmp_path}/b.mp4,hug\nü/e.mp4,kick\n./d.mp4,kick\n"
    index = index_of(tmp_path, lines)
    assert index.names == ("a.mp4", "b.mp4", "d.mp4", "ü/e.mp4")
    assert [row.label for row in index.rows] == ["hug", "hug", "kick", "kick"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_spreadsheets_csv_is_understood(tmp_path: Path, delimiter: str, newline: str) -> None:
    lines = ["Split,PATH,Label ", "train,a.mp4,hug", "", " test, b.mp4 ,hug"]
    lines += ["Training,c.mp4,kick", "validation,ü/e.mp4,kick"]
    text = newline.join(lines).replace(",", delimiter)
    index = index_of(tmp_path, text, encoding="utf-8-sig")
    assert [row.split for row in index.rows] == ["train", "test", "train", "val"]


def test_the_group_column_is_taken_and_an_empty_cell_stands_alone(tmp_path: Path) -> None:
    text = "path,label,group\na.mp4,hug,Ann\nb.mp4,hug,\nc.mp4,kick,Ann\nd.mp4,kick,Ben\n"
    index = index_of(tmp_path, text)
    assert index.groups == ("Ann", "b.mp4", "Ann", "Ben")
    assert index.grouping == "4 clips in 3 groups, by the column group of clips.csv"


def test_a_quoted_cell_may_hold_the_delimiter(tmp_path: Path) -> None:
    (tmp_path / "x, y.mp4").touch()
    text = 'path,label\n"x, y.mp4",hug\na.mp4,hug\nb.mp4,kick\nc.mp4,kick\n'
    assert "x, y.mp4" in index_of(tmp_path, text).names


def test_lines_that_cannot_be_used_are_left_out_and_named(tmp_path: Path) -> None:
    text = "path,label\na.mp4,hug\nb.mp4,hug\nc.mp4,kick\nd.mp4,kick\n"
    text += f"gone.mp4,hug\n,hug\nü/e.mp4,\na.mp4,hug\n{'x' * 5000},hug\n"
    index = index_of(tmp_path, text)
    assert len(index) == 4
    reasons = [file.reason for file in index.skipped]
    assert reasons[0] == "line 6 of clips.csv names it, but no such file is there"
    assert reasons[1].startswith("line 7 of clips.csv has no path")
    assert reasons[2].startswith("line 8 of clips.csv has no label")
    assert reasons[3] == "line 9 of clips.csv repeats it"
    assert reasons[4].startswith("line 10 of clips.csv names it")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", "no column path and no column label"),
        ("where,label\nx.mp4,hug\n", "no column path"),
        ("path,kind of\na.mp4,hug\n", "no column label"),
        ("path,label\ngone.mp4,hug\n", "none of the files it names is there"),
        ("path,label,split\na.mp4,hug,later\n", "line 2: split is 'later'"),
        ("path,label\na.mp4,hug\na.mp4,kick\n", "line 3: a.mp4 is 'kick' here and 'hug' above"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused(tmp_path: Path, text: str, given: str) -> None:
    with pytest.raises(DatasetError, match=given):
        index_of(tmp_path, text)


def test_a_csv_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not UTF-8 text"):
        index_of(tmp_path, "path,label\nü/e.mp4,hug\n", encoding="latin-1")


def test_splits_for_some_clips_only_are_refused(tmp_path: Path) -> None:
    text = "path,label,split\na.mp4,hug,train\nb.mp4,hug,\nc.mp4,kick,train\nd.mp4,kick,test\n"
    with pytest.raises(DatasetError, match=r"1 of 4 clips have no split, such as .*b\.mp4"):
        index_of(tmp_path, text)


def test_what_is_no_csv_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"clips\.csv: is no CSV"):
        index_of(tmp_path, "x" * 200_000)


def test_a_csv_that_the_disk_does_not_give_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").symlink_to("/proc/self/mem")
    with pytest.raises(DatasetError, match="cannot be read"):
        open_index(tmp_path / "clips.csv")


def test_a_table_finds_files_in_the_other_unicode_form_and_case(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "zoë.mp4") for form in ("NFC", "NFD"))
    (tmp_path / decomposed).touch()
    text = f"path,label\n{composed},hüpfen\nA.MP4,{unicodedata.normalize('NFD', 'hüpfen')}\n"
    index = index_of(tmp_path, f"{text}b.mp4,gehen\nc.mp4,gehen\n")
    assert set(index.names) == {"a.mp4", "b.mp4", "c.mp4", decomposed}
    assert index.class_names == ("gehen", "hüpfen")
