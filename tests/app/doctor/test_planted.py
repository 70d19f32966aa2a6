"""The doctor before 200 files with every fault planted, and before 200 clean ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from filmstrip.app.doctor.checkup import Checkup, check_up
from filmstrip.cache import Cache
from filmstrip.dataset.doctor.findings import Finding, Severity
from filmstrip.dataset.doctor.quarantine import to_set_aside
from filmstrip.dataset.index import open_index
from filmstrip.video.sampling import RateSampling

FAULTS = {"corrupt", "truncated", "no_video", "unreadable"}


def told(checkup: Checkup, *kinds: str) -> list[Finding]:
    return [finding for finding in checkup.findings if finding.kind in kinds]


def paths(findings: Iterable[Finding]) -> set[Path]:
    return {path for finding in findings for path in finding.paths}


def test_two_hundred_clean_clips_raise_no_alarm(clean_checkup: Checkup) -> None:
    assert len(clean_checkup.index) == 200
    assert clean_checkup.findings == ()
    assert clean_checkup.copies.clusters == []


def test_the_planted_set_has_two_hundred_files(planted: Any) -> None:
    assert sum(path.is_file() for path in planted.root.rglob("*")) == 200


def test_every_broken_file_is_found_and_no_other(planted: Any, planted_checkup: Checkup) -> None:
    broken = planted.files["broken"] | planted.files["no_video"]
    assert paths(told(planted_checkup, *FAULTS)) == broken
    assert all(finding.severity is Severity.error for finding in told(planted_checkup, *FAULTS))


def test_a_file_of_sound_has_no_video(planted: Any, planted_checkup: Checkup) -> None:
    assert planted.files["no_video"] <= paths(told(planted_checkup, "no_video"))


def test_every_exact_duplicate_is_found_with_its_original(
    planted: Any, planted_checkup: Checkup
) -> None:
    expected = {
        frozenset((copy, original))
        for copy, original in planted.originals.items()
        if copy in planted.files["exact"]
    }
    found = {frozenset(finding.paths) for finding in told(planted_checkup, "exact_duplicates")}
    assert found == expected


def test_near_duplicates_are_found_with_their_originals_and_nothing_else_is(
    planted: Any, planted_checkup: Checkup
) -> None:
    clusters = [set(cluster) for cluster in planted_checkup.copies.clusters]
    near = {copy: planted.originals[copy] for copy in planted.files["near"]}
    found = [any(set(pair) <= cluster for cluster in clusters) for pair in near.items()]
    assert sum(found) >= 0.95 * len(near)
    for cluster in clusters:
        assert len({planted.originals.get(path, path) for path in cluster}) == 1


def test_a_mirrored_copy_is_called_mirrored(planted: Any, planted_checkup: Checkup) -> None:
    mirrored = {pair.second for pair in planted_checkup.copies.near if pair.is_mirrored} | {
        pair.first for pair in planted_checkup.copies.near if pair.is_mirrored
    }
    copies = sorted(planted.files["near"] - planted.files["two_labels"])
    assert {path for path in copies if int(path.stem) % 6 == 0} <= mirrored


def test_content_under_two_labels_is_found(planted: Any, planted_checkup: Checkup) -> None:
    expected = planted.files["two_labels"]
    found = paths(told(planted_checkup, "two_labels"))
    assert found == expected | {planted.originals[path] for path in expected}


def test_copies_across_the_split_are_found_and_the_test_side_is_kept(
    planted: Any, planted_checkup: Checkup
) -> None:
    leaks = told(planted_checkup, "split_leak")
    crossing = {
        copy for copy, original in planted.originals.items() if copy.parts[-3] != original.parts[-3]
    }
    assert crossing
    assert crossing <= paths(leaks)
    assert all(path.parts[-3] == "train" for finding in leaks for path in finding.set_aside)


@pytest.mark.parametrize(
    "kind", ["frozen", "black", "too_short", "variable_frame_rate", "wrong_extension"]
)
def test_what_is_odd_about_single_files_is_found_in_those_and_no_other(
    kind: str, planted: Any, planted_checkup: Checkup
) -> None:
    assert paths(told(planted_checkup, kind)) == planted.files[kind]


def test_a_frozen_stretch_is_told_with_its_times(planted_checkup: Checkup) -> None:
    for finding in told(planted_checkup, "frozen"):
        facts = planted_checkup.facts[finding.paths[0]]
        (stretch,) = finding.stretches
        # An encoder still sharpens a picture in the frames after it.
        assert 6 / 16 <= stretch.start_seconds <= 8 / 16
        assert stretch.end_seconds == pytest.approx(facts.duration_seconds)


def test_a_black_stretch_is_told_to_the_frame(planted_checkup: Checkup) -> None:
    for finding in told(planted_checkup, "black"):
        facts = planted_checkup.facts[finding.paths[0]]
        (stretch,) = finding.stretches
        assert stretch.start_seconds == 0
        assert stretch.end_seconds == pytest.approx((facts.num_frames * 2 // 3) / 16, abs=0.001)


def test_the_classes_of_a_size_and_a_mark_of_their_own_are_found_as_leaks(
    planted_checkup: Checkup,
) -> None:
    (metadata,) = told(planted_checkup, "metadata_leak")
    assert "up" in metadata.cause
    (border,) = told(planted_checkup, "border_leak")
    assert "top left corner" in border.cause
    assert "down" in border.cause


def test_the_imbalance_of_classes_is_found(planted_checkup: Checkup) -> None:
    (finding,) = told(planted_checkup, "class_imbalance")
    assert "growing has 4" in finding.cause


def test_the_quarantine_keeps_one_of_each_family_of_copies(
    planted: Any, planted_checkup: Checkup
) -> None:
    aside = set(to_set_aside(planted_checkup.findings))
    assert planted.files["broken"] | planted.files["no_video"] <= aside
    for copy in planted.files["exact"]:
        assert {copy, planted.originals[copy]} & aside
    disputed = paths(
        finding for finding in told(planted_checkup, "two_labels") if finding.set_aside
    )
    for cluster in planted_checkup.copies.clusters:
        assert set(cluster) - aside or set(cluster) <= disputed


def test_a_second_visit_decodes_nothing_again(
    clean: Path, clean_checkup: Checkup, facts_cache: Path
) -> None:
    entries = {path: path.stat().st_mtime_ns for path in facts_cache.rglob("*.json")}
    again = check_up(open_index(clean), RateSampling(frames_per_second=8), Cache(facts_cache), 1)
    assert again.facts == clean_checkup.facts
    assert {path: path.stat().st_mtime_ns for path in facts_cache.rglob("*.json")} == entries
