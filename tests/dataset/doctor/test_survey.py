"""Many files: facts kept by content, faults told, nothing decoded twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from filmstrip.cache import Cache
from filmstrip.dataset.doctor import survey as survey_module
from filmstrip.dataset.doctor.facts import Fault, VideoFacts
from filmstrip.dataset.doctor.findings import Severity, file_findings
from filmstrip.dataset.doctor.quarantine import to_set_aside
from filmstrip.dataset.doctor.survey import survey
from filmstrip.video.encode import write_video
from filmstrip.video.sampling import UniformSampling

Ended = CompletedProcess[str]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    write_video(tmp_path / "clip.mp4", frames, 10)
    return tmp_path / "clip.mp4"


def entries(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.json"))


def test_facts_come_in_the_order_of_the_paths_and_each_file_is_told(
    video: Path, tmp_path: Path
) -> None:
    gone, told = tmp_path / "gone.mp4", []
    found = survey([gone, video], Cache(tmp_path / "cache"), 2, advance=told.append)
    assert list(found) == [gone, video]
    assert found[gone].fault is not None
    assert found[video].fault is None
    assert found[video].num_frames == 6
    assert sorted(told) == ["clip.mp4", "gone.mp4"]


def test_a_renamed_file_is_known_by_its_content(video: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = survey([video], Cache(cache), 1)[video]
    (entry,) = entries(cache)
    marked = first.model_copy(update={"codec": "read from the cache"})
    entry.write_text(marked.model_dump_json())
    renamed = video.rename(tmp_path / "renamed.mp4")
    assert survey([renamed], Cache(cache), 1)[renamed] == marked


def test_a_damaged_entry_is_found_anew(video: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = survey([video], Cache(cache), 1)[video]
    (entry,) = entries(cache)
    entry.write_bytes(entry.read_bytes()[:100])
    assert survey([video], Cache(cache), 1)[video] == first
    assert VideoFacts.model_validate_json(entry.read_bytes()) == first


def test_a_pipe_is_a_fault_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    found = survey([tmp_path / "pipe.mp4"], Cache(tmp_path / "cache"), 1)
    fault = found[tmp_path / "pipe.mp4"].fault
    assert fault is not None
    assert "not a regular file" in fault.words


def test_survey_goes_on_where_the_cache_cannot_be_written(video: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where a folder is expected")
    again = video.with_name("other.mp4")
    again.write_bytes(video.read_bytes()[:-1])
    warnings: list[str] = []
    found = survey([video, again], Cache(tmp_path / "cache"), 1, warn=warnings.append)
    assert found[video].num_frames == 6
    assert len(warnings) == 1


def test_survey_keeps_no_bound_that_the_environment_sets(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache")
    monkeypatch.setenv("FILMSTRIP_DECODER_GB", "0.000001")
    refused = survey([video], cache, 1)[video]
    assert refused.fault is not None
    monkeypatch.delenv("FILMSTRIP_DECODER_GB")
    assert survey([video], cache, 1)[video].fault is None


INSPECT = """
import sys
from pathlib import Path
from filmstrip.cache import Cache
from filmstrip.dataset.doctor.survey import _look_up_or_inspect

path, cache = Path(sys.argv[1]), Cache(Path(sys.argv[2]))
_look_up_or_inspect(cache, path.with_name("clip.mp4"), lambda: None)
limit_memory(60)
looked = _look_up_or_inspect(cache, path, lambda: None)
facts = getattr(looked, "facts", looked)
kept = looked.is_new if facts is not looked else any(cache.folder.rglob("*.json"))
print(facts.fault.kind, facts.num_frames, kept)
"""


def test_survey_does_not_take_a_lack_of_memory_for_damage(
    video: Path, large_video: Path, tmp_path: Path, in_little_memory: Callable[..., Ended]
) -> None:
    path = large_video.rename(video.with_name("large.mp4"))
    ended = in_little_memory(INSPECT, path, tmp_path / "cache")
    assert ended.stdout.split() == ["unchecked", "0", "False"], ended.stderr


def test_survey_does_not_quarantine_what_could_not_be_checked(
    video: Path,
) -> None:
    facts = VideoFacts(fault=Fault(kind="unchecked", words="not enough memory"))
    (finding,) = file_findings(video, facts, UniformSampling(num_frames=4))
    assert finding.severity is Severity.error
    assert to_set_aside([finding]) == {}


def test_survey_keeps_nothing_of_a_file_that_changes_meanwhile(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inspect(path: Path, _beat: object) -> VideoFacts:
        path.write_bytes(path.read_bytes() + b"more of a copy that goes on")
        return VideoFacts(fault=Fault(kind="corrupt", words="damaged"))

    monkeypatch.setattr(survey_module, "inspect_video", inspect)
    looked = survey_module._look_up_or_inspect(Cache(tmp_path / "cache"), video, lambda: None)
    assert not looked.is_new
    assert looked.facts.fault is not None
    assert looked.facts.fault.kind == "unchecked"
