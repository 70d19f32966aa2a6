from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.dataset.index import open_index
from filmstrip.dataset.videos import list_videos
from filmstrip.errors import NoVideoError
from filmstrip.inference.predict import videos_below


def touch(root: Path, *names: str) -> None:
    """Empty files: no walk opens a video."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=True)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Two linked class folders, and links to the data, above it and to a sibling folder."""
    touch(tmp_path / "disk", "kick/a.mp4", "kick/deep/b.mp4", "hug/c.mp4", "hug/d.mp4")
    for name in ("kick", "hug"):
        link(tmp_path / "data" / name, tmp_path / "disk" / name)
    touch(tmp_path / "data", "sit/e.mp4", "sit/more/f.mp4", "sit/notes.txt")
    link(tmp_path / "data/up", tmp_path / "data")
    link(tmp_path / "data/sit/up", tmp_path)
    link(tmp_path / "data/sit/again", tmp_path / "data/sit/more")
    link(tmp_path / "disk/kick/deep/up", tmp_path / "disk")
    return tmp_path / "data"


VIDEOS = ["hug/c.mp4", "hug/d.mp4", "kick/a.mp4", "kick/deep/b.mp4", "sit/e.mp4", "sit/more/f.mp4"]


def test_all_commands_find_the_same_videos(linked: Path) -> None:
    wanted = [linked / name for name in VIDEOS]
    assert videos_below([linked]).files == wanted
    assert [row.path for row in open_index(linked).rows] == wanted
    assert [row.path for row in list_videos([linked]).rows] == wanted


def test_links_to_a_folder_above_are_named_and_not_followed(linked: Path) -> None:
    skipped = videos_below([linked]).skipped
    links = [file for file in skipped if file.kind == "link to a folder above"]
    assert {file.path.relative_to(linked).as_posix() for file in links} == {
        *("up", "sit/up", "kick/deep/up"),
    }
    assert not any(file.is_loss for file in links)


def test_a_link_that_is_named_itself_is_followed(linked: Path) -> None:
    assert videos_below([linked / "sit/up/data/kick"]).files == [
        linked / "sit/up/data/kick/a.mp4",
        linked / "sit/up/data/kick/deep/b.mp4",
    ]


def test_a_broken_link_to_a_video_is_named_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "gone.mp4")
    assert videos_below([tmp_path]).files == [tmp_path / "a.mp4"]


@pytest.mark.parametrize("find", [videos_below, list_videos])
def test_a_folder_without_videos_stops_no_other(tmp_path: Path, find) -> None:
    touch(tmp_path, "a.mp4", "empty/notes.txt")
    found = find([tmp_path / "empty", tmp_path / "a.mp4"])
    assert [file.path for file in found.skipped if file.is_loss] == [tmp_path / "empty"]


def test_nothing_but_folders_without_videos_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "empty/notes.txt", "empty/more/1.jpg")
    with pytest.raises(NoVideoError, match="holds no video") as caught:
        videos_below([tmp_path / "empty"])
    assert "Left out: 1 .txt, 1 .jpg (not videos)" in caught.value.remedy
