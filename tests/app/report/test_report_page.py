"""``report.html``: what is on it, what it refuses to run, and what it says is missing."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from filmstrip.app.report.page import write_report
from filmstrip.errors import RunError, StorageError
from filmstrip.training.run_folder import RunFolder

ATTACK = "\"><img src=x onerror='alert(1)'>{{7*7}}&amp;"


@pytest.fixture(scope="module")
def hostile_page(
    hostile_run: RunFolder, page_at: Callable[[Path], Any], tmp_path_factory: Any
) -> Any:
    return page_at(write_report(hostile_run.path, tmp_path_factory.mktemp("page") / "page.html"))


@pytest.fixture(scope="module")
def page(finished_run: RunFolder, page_at: Callable[[Path], Any], tmp_path_factory: Any) -> Any:
    return page_at(write_report(finished_run.path, tmp_path_factory.mktemp("page") / "page.html"))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_accuracy_stands_with_interval_part_clips_and_baselines(
    page: Any, finished_run: RunFolder
) -> None:
    metrics = finished_run.metrics()
    assert metrics is not None
    test = metrics["test"]
    head = page.text[: page.text.index("Worst mistakes")]
    assert f"{test['accuracy']:.3f}" in head
    assert "test accuracy (95 %: " in head
    assert f"Measured on {test['num_clips']} test clips" in page.section("figures")
    for name in ("metadata", "majority"):
        assert f"{metrics['baselines'][name]:.3f}" in head
        assert f"{metrics['baselines'][name]:.3f}" in page.section("leaks")
    for split in ("train", "val", "test"):
        low, high = metrics[split]["intervals"]["accuracy"]
        assert f"{low:.3f} to {high:.3f}" in page.section("figures")


def test_each_class_stands_with_its_figures_and_counts(page: Any, finished_run: RunFolder) -> None:
    metrics = finished_run.metrics()
    assert metrics is not None
    classes = page.section("classes").split("Each class", 1)[1]
    for one in metrics["test"]["per_class"]:
        words = classes.split(one["name"], 1)[1].split()
        assert words[:2] == [str(one["num_clips"]), f"{one['precision']:.2f}"]
    counts = Counter((r["label"], r["split"]) for r in _rows(finished_run.splits_file))
    split = page.section("split").split()
    for label in ("left", "right", "up"):
        start = split.index(label) + 1
        expected = [str(counts[label, part]) for part in ("train", "val", "test")]
        assert split[start : start + 3] == expected


def test_the_data_card_says_what_the_files_are(page: Any) -> None:
    card = " ".join(page.section("data").split())
    for words in ("all 48×48", "all h264", "all 12", "all yuv420p", "From all of 24 files"):
        assert words in card
    assert "Duration all 1 s" in card
    assert "each its own group" in card
    assert "every file could be read" in card


def test_all_plots_are_on_the_page(page: Any, finished_run: RunFolder) -> None:
    shown = {image["src"] for image in page.all("img")}
    for name in ("history", "confusion", "per_class", "reliability", "coverage"):
        png = (finished_run.plots / f"{name}.png").read_bytes()
        assert f"data:image/png;base64,{base64.b64encode(png).decode()}" in shown
    assert all(image["alt"] for image in page.all("img"))
    assert "not whole" not in page.text


def test_the_page_reproduces_the_run(page: Any, finished_run: RunFolder) -> None:
    again = page.section("again")
    assert f"filmstrip train {finished_run.request().data} --recipe recipe.yaml" in again
    assert (finished_run.path / "recipe.yaml").read_text().strip() in again
    versions = json.loads(finished_run.request_file.read_text())["versions"]
    assert all(f"{package} {number}" in again for package, number in versions.items())


def test_a_page_is_self_contained_and_runs_no_script(page: Any, hostile_page: Any) -> None:
    for one in (page, hostile_page):
        policies = [m["content"] for m in one.all("meta") if "http-equiv" in m]
        assert len(policies) == 1
        assert policies[0].startswith("default-src 'none'; img-src data:; media-src data:")
        assert "script-src" not in policies[0]
        addresses = [
            value or ""
            for _, attributes in one.elements
            for name, value in attributes.items()
            if name in ("src", "href", "srcset", "poster", "data", "action")
        ]
        assert addresses
        assert all(address.startswith(("data:", "#")) for address in addresses)
        assert not re.search(r"@import|url\(", one.content)
        assert not one.all("script")


def test_hostile_names_are_shown_and_stay_text(hostile_page: Any) -> None:
    attributes = [name for _, attributes in hostile_page.elements for name in attributes]
    assert not [name for name in attributes if name.startswith("on")]
    assert not [image for image in hostile_page.all("img") if image["src"] == "x"]
    for section in ("mistakes", "classes", "data", "split"):
        assert ATTACK in hostile_page.section(section)
    assert "<script>alert(1)<left>" in hostile_page.section("classes")


def test_folds_are_shown_with_their_mean_and_spread(
    hostile_page: Any, hostile_run: RunFolder
) -> None:
    metrics = hostile_run.metrics()
    assert metrics is not None
    figures = " ".join(hostile_page.section("figures").split())
    accuracy = metrics["summary"]["accuracy"]
    assert (
        f"over 2 folds: mean {accuracy['mean']:.3f}, standard deviation "
        f"{accuracy['standard_deviation']:.3f}"
    ) in figures
    for number, fold in enumerate(metrics["folds"], start=1):
        assert f" {number} {fold['num_clips']} {fold['accuracy']:.3f}" in figures
    split = hostile_page.section("split").split()
    of_folds = [
        str(sum(row["split"] == "test" for row in _rows(fold.splits_file)))
        for fold in hostile_run.folds
    ]
    assert split[split.index("all") + 1 :][:2] == of_folds
    for fold in hostile_run.folds:
        png = base64.b64encode((fold.plots / "history.png").read_bytes()).decode()
        assert png in hostile_page.content


def test_what_was_left_out_is_named_with_the_reason(hostile_page: Any) -> None:
    left_out = hostile_page.section("data")
    assert "1 file was left out" in left_out
    assert "up/broken.mp4: " in left_out


def test_the_worst_mistakes_come_first_and_play(hostile_page: Any, hostile_run: RunFolder) -> None:
    wrong = [r for r in _rows(hostile_run.predictions_file) if r["predicted"] != r["label"]]
    wrong.sort(key=lambda row: -float(row["confidence"]))
    assert len(wrong) > 1
    shown = hostile_page.all("video")
    assert [video["aria-label"] for video in shown] == [row["path"] for row in wrong[:12]]
    for video in shown:
        kind, content = str(video["src"]).split(",", 1)
        mp4 = base64.b64decode(content)
        assert kind == "data:video/mp4;base64"
        assert len(mp4) <= 300_000
        with av.open(io.BytesIO(mp4)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert sum(1 for _ in container.decode(stream)) == 12


def _with_leaks(run: RunFolder, **leaks: Any) -> None:
    metrics = run.metrics()
    assert metrics is not None
    metrics.pop("leaks")
    run.write_json(run.metrics_file, metrics | ({"leaks": leaks} if leaks else {}))


def test_a_run_from_before_leaks_were_looked_for_says_so(
    own_run: RunFolder, page_at: Callable[[Path], Any]
) -> None:
    _with_leaks(own_run)
    page = page_at(write_report(own_run.path))
    assert "not checked" in page.section("leaks")
    assert "LEAKY" not in page.text


def test_a_leaky_run_says_so_on_the_first_line(
    own_run: RunFolder, page_at: Callable[[Path], Any]
) -> None:
    pair = {"first": "up/<b>.mp4", "second": "up/up_2.mp4", "kind": "near"}
    sides = {"first_split": "train", "second_split": "test"}
    _with_leaks(
        own_run, allowed=True, checked=["exact", "near"], num_pairs=140, pairs=[pair | sides] * 120
    )
    page = page_at(write_report(own_run.path))
    body = page.content[page.content.index("<body>") + len("<body>") :].lstrip()
    assert body.startswith('<p class="banner" role="alert">LEAKY FIGURES: 140 pairs of clips')
    leaks = " ".join(page.section("leaks").split())
    assert "copies, near-duplicates; 140 pairs found" in leaks
    assert "Not looked for: clips of one group, recordings that were cut" in leaks
    assert "up/<b>.mp4 train up/up_2.mp4 test the same moments" in leaks
    assert "And 40 pairs more" in leaks


def test_a_run_without_leaks_says_what_was_looked_for(
    own_run: RunFolder, page_at: Callable[[Path], Any]
) -> None:
    checked = ["exact", "near", "groups", "continuation"]
    _with_leaks(own_run, allowed=True, checked=checked, num_pairs=0, pairs=[])
    page = page_at(write_report(own_run.path))
    assert "none found" in page.section("leaks")
    assert "Not looked for" not in page.section("leaks")
    assert not [a for tag, a in page.elements if a.get("class") == "banner"]


def test_what_is_gone_is_said_and_the_rest_is_shown(
    hostile_run: RunFolder, tmp_path: Path, page_at: Callable[[Path], Any]
) -> None:
    run = RunFolder(Path(shutil.copytree(hostile_run.path, tmp_path / "run")))
    stored = json.loads(run.request_file.read_text())
    stored["request"]["data"] = str(tmp_path / "gone")
    metrics = run.metrics()
    assert metrics is not None
    del metrics["grouping"]  # as in runs from before it was written down
    run.write_json(run.metrics_file, metrics)
    run.write_json(run.request_file, stored)
    (run.plots / "coverage.png").unlink()
    page = page_at(write_report(run.path))
    assert "This report is not whole" in page.text
    assert "plots/coverage.png is gone" in page.text
    assert "24 of the files looked at for the data card can no longer be read" in page.text
    assert "worst mistakes stand without a clip" in page.text
    assert not page.all("video")
    assert "The clip cannot be shown: " in page.section("mistakes")
    assert "not known any more" in page.section("data")
    assert "No file could be looked at" in page.section("data")
    assert f"{metrics['test']['accuracy']:.3f}" in page.section("figures")


def test_a_run_without_a_test_part_shows_validation_and_warns(
    own_run: RunFolder, page_at: Callable[[Path], Any]
) -> None:
    metrics = own_run.metrics()
    assert metrics is not None
    del metrics["test"]
    metrics["baselines"] = {"majority": None, "metadata": None}
    own_run.write_json(own_run.metrics_file, metrics)
    page = page_at(write_report(own_run.path))
    assert "validation accuracy" in page.text
    assert "There is no test part" in page.section("figures")


def test_timings_are_told_where_they_are_known(
    own_run: RunFolder, page_at: Callable[[Path], Any]
) -> None:
    told = own_run.path / "training_time.json"
    told.unlink()
    assert "not written down" in page_at(write_report(own_run.path)).section("training")
    told.write_text('{"num_epochs": 3, "seconds": 190.5}')
    assert "took 3.2 min" in page_at(write_report(own_run.path)).section("training")


def test_an_unfinished_run_is_refused(own_run: RunFolder) -> None:
    own_run.metrics_file.unlink()
    with pytest.raises(RunError, match=r"no readable metrics\.json"):
        write_report(own_run.path)


def test_a_page_that_cannot_be_written_is_named(own_run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="own_run"):
        write_report(own_run.path, own_run.path)
