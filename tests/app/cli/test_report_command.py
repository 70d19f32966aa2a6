"""``filmstrip report``, and the page that ``filmstrip train`` leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filmstrip.recipes.catalogue import to_yaml
from filmstrip.training.run_folder import RunFolder

Filmstrip = Callable[..., Any]


def _train(
    filmstrip: Filmstrip, recipe: Callable[..., Any], videos: Path, out: Path, *more: str
) -> Any:
    quick = out.with_name("quick.yaml")
    quick.write_text(to_yaml(recipe("mean-linear")))
    return filmstrip("train", videos, "--recipe", quick, "--epochs", 1, "--out", out, *more)


def test_train_leaves_a_report(
    filmstrip: Filmstrip, recipe: Callable[..., Any], videos: Path, tmp_path: Path
) -> None:
    ended = _train(filmstrip, recipe, videos, tmp_path / "run")
    assert ended.exit_code == 0
    assert f"look at {tmp_path / 'run' / 'report.html'}" in ended.stderr
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")


def test_a_report_that_cannot_be_written_ends_no_training(
    filmstrip: Filmstrip, recipe: Callable[..., Any], videos: Path, tmp_path: Path
) -> None:
    _train(filmstrip, recipe, videos, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    (tmp_path / "run" / "report.html").mkdir()
    ended = _train(filmstrip, recipe, videos, tmp_path / "run", "--resume", "--json")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout) == RunFolder(tmp_path / "run").metrics()
    assert "report.html: could not be written" in " ".join(ended.stderr.split())
    assert f"'filmstrip report {tmp_path / 'run'}' writes its page later" in ended.stderr


def test_report_writes_the_page_of_an_old_run_where_it_is_told(
    filmstrip: Filmstrip, finished_run: RunFolder, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished_run.path, tmp_path / "run"))
    assert filmstrip("report", run).exit_code == 0
    ended = filmstrip("report", run, "--out", tmp_path / "pages" / "page.html")
    assert ended.exit_code == 0
    assert f"Report: {tmp_path / 'pages' / 'page.html'}" in ended.stderr
    written = (run / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "pages" / "page.html").read_text(encoding="utf-8") == written


def test_a_folder_that_is_no_run_is_refused(filmstrip: Filmstrip, tmp_path: Path) -> None:
    ended = filmstrip("report", tmp_path)
    assert ended.exit_code == 1
    assert "is not a run folder" in ended.stderr
    assert not (tmp_path / "report.html").exists()
