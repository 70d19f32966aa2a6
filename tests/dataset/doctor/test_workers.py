"""Processes that crash, hang and raise, for real."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from filmstrip.dataset.doctor.workers import Lost, work_through

# A worker imports its work by name, so it must lie in a file that the worker can find.
WORK = """
import os, signal, time

def behave(path, beat):
    if path.name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name == "memory":
        raise MemoryError
    if path.name == "leave":
        os._exit(3)
    if path.name == "hang":
        time.sleep(600)
    if path.name == "slow":
        for _ in range(30):
            time.sleep(0.1)
            beat()
    if path.name == "raise":
        raise ValueError("as it happens")
    return path.name.upper()
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("work")
    (folder / "misbehaving_work.py").write_text(WORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("misbehaving_work")


def run(work: ModuleType, *names: str, num_workers: int = 1, silence_seconds: float = 20.0):
    behave: Callable[..., str] = work.behave
    paths = [Path(name) for name in names]
    return {
        path.name: answer
        for path, answer in work_through(behave, paths, num_workers, silence_seconds)
    }


def test_every_path_is_answered_once(work: ModuleType) -> None:
    assert run(work, "a", "b", "c", num_workers=2) == {"a": "A", "b": "B", "c": "C"}


def test_no_path_needs_no_process(work: ModuleType) -> None:
    assert run(work) == {}


def test_a_crash_is_told_and_the_other_files_go_on(work: ModuleType) -> None:
    found = run(work, "a", "crash", "b")
    assert (found["a"], found["b"]) == ("A", "B")
    assert found["crash"] == Lost("the decoder crashed (exit code -11)")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kill", "killed (signal 9)"),
        ("leave", "failed (exit code 3)"),
        ("memory", "not enough memory"),
    ],
)
def test_work_through_blames_the_machine_not_the_file(
    name: str, words: str, work: ModuleType
) -> None:
    found = run(work, "a", name, "b")
    assert (found["a"], found["b"]) == ("A", "B")
    assert isinstance(found[name], Lost)
    assert found[name].passing
    assert words in found[name].words


def test_a_hung_process_is_killed_and_one_that_gives_signs_of_life_is_not(
    work: ModuleType,
) -> None:
    found = run(work, "hang", "slow", "a", num_workers=2, silence_seconds=2.5)
    assert found == {
        "hang": Lost("the decoder was stuck for 2.5 s"),
        "slow": "SLOW",
        "a": "A",
    }


def test_an_error_of_the_work_itself_is_raised(work: ModuleType) -> None:
    with pytest.raises(ValueError, match="as it happens"):
        run(work, "a", "raise")
