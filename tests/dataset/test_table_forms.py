"""Tables as other tools and data sets write them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from filmstrip.dataset.index import VideoIndex, open_index
from filmstrip.dataset.table import read_table
from filmstrip.dataset.videos import list_videos
from filmstrip.errors import DatasetError

SHARED = Path("/work/shared/data")
LABELS = {"a.mp4": "hug", "b c.mp4": "hug", "d/e.mp4": "kick", "d/f g.mp4": "kick"}

needs_shared_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")


def touch(root: Path, *names: str) -> None:
    """Empty files: an index never opens a video, so none needs to hold one."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def index_of(root: Path, text: str, name: str = "clips.csv") -> VideoIndex:
    touch(root, *LABELS)
    (root / name).write_text(text)
    return open_index(root / name)


def labels_of(index: VideoIndex) -> dict[str, str]:
    return dict(zip(index.names, (row.label for row in index.rows), strict=True))


@pytest.mark.parametrize(
    "path", ["filename", "File Name", "file", "filepath", "video", "video_path", "clip_path"]
)
@pytest.mark.parametrize("label", ["class", "Category", "target", "action"])
def test_table_columns_may_have_other_names(tmp_path: Path, path: str, label: str) -> None:
    lines = [f"{path},{label}", *(",".join(item) for item in LABELS.items())]
    assert labels_of(index_of(tmp_path, "\n".join(lines))) == LABELS


def test_table_takes_the_path_column_whose_files_exist(tmp_path: Path) -> None:
    lines = ["name,clip_path,label", *(f"x,/{path},{label}" for path, label in LABELS.items())]
    assert labels_of(index_of(tmp_path, "\n".join(lines))) == LABELS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("header", ["", "path{}label\n"])
@pytest.mark.parametrize("name", ["clips.csv", "clips.txt"])
def test_table_may_have_any_separator_and_no_header(
    tmp_path: Path, separator: str, header: str, name: str
) -> None:
    lines = [separator.join(item) for item in LABELS.items()]
    text = header.format(separator) + "\n".join(lines) + "\n"
    assert labels_of(index_of(tmp_path, text, name)) == LABELS


def test_table_of_spaces_may_have_integer_labels(tmp_path: Path) -> None:
    text = "a.mp4 0\nb c.mp4 0\nd/e.mp4 17\nd/f g.mp4 17\n"
    index = index_of(tmp_path, text, "train_list.txt")
    assert index.class_names == ("0", "17")
    assert len(index) == 4


def test_table_of_spaces_may_have_labels_with_spaces(tmp_path: Path) -> None:
    text = "a.mp4 big hug\nb c.mp4 big hug\nd/e.mp4 high kick\nd/f g.mp4 high kick\n"
    assert index_of(tmp_path, text, "list.txt").class_names == ("big hug", "high kick")


def test_table_of_paths_and_several_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"line 1: 2 numbers after a\.mp4"):
        index_of(tmp_path, "a.mp4 163 0\nb c.mp4 163 0\nd/e.mp4 163 1\n", "list.txt")


def test_a_long_text_that_is_no_table_is_refused_soon(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no column path and no column label"):
        index_of(tmp_path, "many words of a file that is no table\n" * 10_000, "notes.txt")


def test_table_without_header_may_begin_with_the_label(tmp_path: Path) -> None:
    text = "\n".join(f"{label},{path}" for path, label in LABELS.items())
    assert labels_of(index_of(tmp_path, text)) == LABELS


def test_table_finds_names_without_suffix(tmp_path: Path) -> None:
    text = "path,label\na,hug\nb c,hug\nd/e,kick\nd/f g,kick\n"
    assert labels_of(index_of(tmp_path, text)) == LABELS


def test_table_finds_bare_names_in_folders_below(tmp_path: Path) -> None:
    text = "video,label\na,hug\nb c.mp4,hug\ne.mp4,kick\nf g,kick\n"
    assert labels_of(index_of(tmp_path, text)) == LABELS


def test_table_does_not_guess_between_files_of_one_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.avi", "a.mp4", "b.mp4")
    (tmp_path / "clips.csv").write_text("path,label\na,hug\nb,hug\n")
    (file,) = read_table(tmp_path / "clips.csv").skipped
    assert "line 2 of clips.csv may mean any of 2 files" in file.reason
    assert "a.avi" in file.reason
    assert "a.mp4" in file.reason


def test_table_understands_backslashes_and_a_leading_slash(tmp_path: Path) -> None:
    text = "path,label\n\\a.mp4,hug\n/b c.mp4,hug\nd\\e.mp4,kick\n\\d\\f g.mp4,kick\n"
    assert labels_of(index_of(tmp_path, text)) == LABELS


def test_table_says_which_times_it_does_not_use(tmp_path: Path) -> None:
    lines = ["path,label,start_time,end", *(f"{p},{lab},1,2" for p, lab in LABELS.items())]
    touch(tmp_path, *LABELS)
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    reading = read_table(tmp_path / "clips.csv").reading
    assert "the times in start_time and end are not used: each video is read whole" in reading


def test_table_of_segments_is_refused_with_the_remedy(tmp_path: Path) -> None:
    text = "path,label,start,end\na.mp4,hug,0,2\na.mp4,kick,2,4\n"
    with pytest.raises(DatasetError, match="lines 2 and 3 are segments of one recording") as caught:
        index_of(tmp_path, text)
    assert "cut the segments out" in caught.value.remedy


def test_table_in_utf16_as_excel_writes_it(tmp_path: Path) -> None:
    touch(tmp_path, *LABELS)
    lines = ["Filename\tClass", *("\t".join(item) for item in LABELS.items())]
    (tmp_path / "clips.txt").write_text("\n".join(lines), encoding="utf-16")
    assert labels_of(open_index(tmp_path / "clips.txt")) == LABELS


def test_a_plain_list_of_paths_is_enough_without_labels(tmp_path: Path) -> None:
    touch(tmp_path, *LABELS)
    (tmp_path / "list.txt").write_text("\n".join(LABELS))
    assert set(list_videos([tmp_path / "list.txt"]).names) == set(LABELS)


def test_official_lists_of_kinetics_find_cut_clips(tmp_path: Path) -> None:
    table = "label,youtube_id,time_start,time_end,split,is_cc\n"
    for label in ("abseiling", "air drumming"):
        for number, split in enumerate(("train", "train", "val")):
            recording = f"{label[:3]}_-345678{number}"
            table += f'"{label}",{recording},{number + 7},{number + 17},{split},0\n'
            touch(tmp_path, f"{label}/{recording}_{number + 7:06}_{number + 17:06}.mp4")
    (tmp_path / "k400.csv").write_text(table)
    listing = read_table(tmp_path / "k400.csv")
    assert len(listing.rows) == 6
    assert {row.label: row.path.parent.name for row in listing.rows} == {
        "abseiling": "abseiling",
        "air drumming": "air drumming",
    }
    assert "not used" not in listing.reading  # the clips have been cut by them


@needs_shared_data
@pytest.mark.parametrize(
    ("table", "given"),
    [
        ("annotations/ava/ava_sample.csv", "a table of AVA"),
        ("annotations/charades/Charades_v1_test_200.csv", "annotations of Charades"),
        ("annotations/boris/tabular_old.csv", "a table of BORIS"),
        ("annotations/epic_kitchens/validation_200.csv", "annotations of EPIC-KITCHENS"),
        ("annotations/deepethogram/fly.csv", "labels of single frames"),
        ("annotations/camtrap_dp/observations.csv", "observations of Camtrap DP"),
        ("annotations/kinetics/k400_val_200.csv", "none of the files it names is there"),
        ("annotations/zamba/labels.csv", "none of the files it names is there"),
        ("urfd/segments.csv", "are segments of one recording"),
        ("urfd/frames/adl-04.csv", "labels of single frames"),
    ],
)
def test_real_tables_get_a_true_and_helpful_error(table: str, given: str) -> None:
    with pytest.raises(DatasetError, match=given) as caught:
        open_index(SHARED / table)
    assert caught.value.remedy


@needs_shared_data
@pytest.mark.parametrize(
    ("table", "column"),
    [("annotations/zamba/labels.csv", "filepath"), ("urfd/clips.csv", "path")],
)
def test_real_tables_work_where_their_media_are(tmp_path: Path, table: str, column: str) -> None:
    copy = tmp_path / "labels.csv"
    copy.write_bytes((SHARED / table).read_bytes())
    with copy.open(newline="") as file:
        names = [row[column] for row in csv.DictReader(file)]
    touch(tmp_path, *names)
    assert {row.path for row in read_table(copy).rows} == {tmp_path / name for name in names}
