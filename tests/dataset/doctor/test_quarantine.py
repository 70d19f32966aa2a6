"""A list of files to leave out, written and honoured."""

from __future__ import annotations

from pathlib import Path

import pytest

from filmstrip.dataset.doctor.findings import Finding, Severity
from filmstrip.dataset.doctor.quarantine import leave_out, to_set_aside, write_quarantine
from filmstrip.dataset.index import VideoIndex, VideoRow
from filmstrip.errors import DatasetError

ROOT = Path("/videos")


@pytest.fixture
def index() -> VideoIndex:
    rows = [
        VideoRow(ROOT / label / f"{number}.mp4", label) for label in "ab" for number in range(3)
    ]
    return VideoIndex(ROOT, tuple(rows))


def test_what_is_written_is_left_out_with_its_reason(index: VideoIndex, tmp_path: Path) -> None:
    bad = index.rows[1].path
    write_quarantine(tmp_path / "bad.csv", {bad: "it is\nbroken"}, ROOT)
    kept = leave_out(index, tmp_path / "bad.csv")
    assert [row.path for row in kept.rows] == [r.path for r in index.rows if r.path != bad]
    assert [(file.path, file.reason) for file in kept.skipped] == [
        (bad, "quarantined: it is broken")
    ]


def test_paths_are_relative_to_the_data_so_that_both_can_move(
    index: VideoIndex, tmp_path: Path
) -> None:
    write_quarantine(tmp_path / "bad.csv", {index.rows[0].path: "broken"}, ROOT)
    assert (tmp_path / "bad.csv").read_text().splitlines()[1] == "a/0.mp4,broken"


def test_an_empty_list_leaves_nothing_out(index: VideoIndex, tmp_path: Path) -> None:
    write_quarantine(tmp_path / "bad.csv", {}, ROOT)
    assert leave_out(index, tmp_path / "bad.csv").rows == index.rows


def test_a_name_that_is_no_text_makes_the_round_trip(tmp_path: Path) -> None:
    strange = ROOT / "a" / "clip\udcff.mp4"
    rows = [VideoRow(path, "a") for path in (strange, ROOT / "a/1.mp4", ROOT / "a/2.mp4")]
    rows += [VideoRow(ROOT / "b" / name, "b") for name in ("1.mp4", "2.mp4")]
    write_quarantine(tmp_path / "bad.csv", {strange: "broken"}, ROOT)
    kept = leave_out(VideoIndex(ROOT, tuple(rows)), tmp_path / "bad.csv")
    assert len(kept) == 4


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("name,why\na/0.mp4,broken\n", "no columns path and reason"),
        ("path,reason\nc/0.mp4,broken\n", "none of its 1 files"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(
    content: str | None, told: str, index: VideoIndex, tmp_path: Path
) -> None:
    file = tmp_path / "bad.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DatasetError, match=told):
        leave_out(index, file)


def test_a_file_is_set_aside_for_its_first_reason() -> None:
    path = ROOT / "a/0.mp4"
    findings = [
        Finding(kind, Severity.error, cause, "mend it", (path,), set_aside=(path,))
        for kind, cause in (("corrupt", "is broken"), ("exact_duplicates", "is a copy"))
    ]
    assert to_set_aside(findings) == {path: "is broken; mend it"}


def test_what_is_no_table_at_all_is_refused(index: VideoIndex, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("x" * 200_000)
    with pytest.raises(DatasetError, match="cannot be read"):
        leave_out(index, tmp_path / "bad.csv")
