from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from filmstrip.dataset.index import open_index
from filmstrip.dataset.rows import SkippedFile
from filmstrip.errors import RunError
from filmstrip.recipes.recipe import Recipe
from filmstrip.training.run_folder import RunFolder, TrainingRequest


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def request_(videos: Path, recipe: Callable[..., Recipe]) -> TrainingRequest:
    return TrainingRequest(
        data=videos,
        recipe=recipe("cnn-lstm"),
        weights=Path("/weights.safetensors"),
        num_folds=5,
        group_pattern=r"(g\d+)",
    )


def test_a_request_is_read_back_as_it_was_made(run: RunFolder, request_: TrainingRequest) -> None:
    run.check(request_, resume=False)
    run.start(request_)
    assert run.request() == request_
    run.check(request_, resume=True)


def test_a_run_that_was_begun_is_gone_on_with_or_left_alone(
    run: RunFolder, request_: TrainingRequest
) -> None:
    run.start(request_)
    with pytest.raises(RunError, match="an unfinished run already") as error:
        run.check(request_, resume=False)
    assert "--resume" in error.value.remedy


@pytest.mark.parametrize("content", ["", "{", "[]", '{"request": {"data": 5}}', "\x00"])
def test_a_damaged_request_is_an_error_that_names_the_folder(run: RunFolder, content: str) -> None:
    run.request_file.write_text(content)
    with pytest.raises(RunError, match=str(run.path)):
        run.request()


def test_a_request_of_another_version_is_an_error_that_says_so(
    run: RunFolder, request_: TrainingRequest
) -> None:
    run.start(request_)
    stored = json.loads(run.request_file.read_text())
    stored["request"]["num_replicas"] = 3
    run.write_json(run.request_file, stored)
    with pytest.raises(RunError, match="num_replicas") as error:
        run.request()
    assert "another version of Filmstrip" in error.value.given


def test_folds_come_in_the_order_of_their_numbers(run: RunFolder) -> None:
    for number in range(1, 12):
        run.fold(number).path.mkdir(parents=True)
    assert [fold.path.name for fold in run.folds] == [str(number) for number in range(1, 12)]


def test_what_was_left_out_is_found_again_whatever_its_name(
    run: RunFolder, videos: Path, own_videos: Path
) -> None:
    odd = own_videos / "up" / b"line\nbreak, comma \xff.mp4".decode(errors="surrogateescape")
    (own_videos / "up" / "up_0.mp4").rename(odd)
    elsewhere = videos / "left" / "left_1.mp4"
    index = open_index(own_videos)
    reason = "first line\n  expected: second"
    run.write_skipped(own_videos, [SkippedFile(odd, reason), SkippedFile(elsewhere, reason)])
    assert "first line expected: second" in run.skipped_file.read_text(errors="surrogateescape")
    kept = run.without_skipped(index)
    assert {row.path for row in index.rows} - {row.path for row in kept.rows} == {odd}


def test_before_it_is_known_what_was_left_out_the_run_is_unfinished(
    run: RunFolder, videos: Path
) -> None:
    with pytest.raises(RunError, match="unfinished"):
        run.without_skipped(open_index(videos))


def test_a_run_folder_whose_path_is_no_text_is_refused_at_once(
    tmp_path: Path, request_: TrainingRequest
) -> None:
    folder = tmp_path / os.fsdecode(b"l\xe4ufe") / "run"
    folder.mkdir(parents=True)
    with pytest.raises(RunError, match="is no text in UTF-8"):
        RunFolder(folder).check(request_, resume=False)
