from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from filmstrip.errors import StorageError
from filmstrip.features import claims

CLAIM_AND_STAY = """
import sys
from pathlib import Path
from filmstrip.features import claims

held = claims.claim(Path(sys.argv[1]))
print("claimed" if held else "refused", flush=True)
sys.stdin.readline()
if held:
    held.release()
print("released", flush=True)
sys.stdin.readline()
"""

CLAIM_IN_TURN = """
import sys, time
from pathlib import Path
from filmstrip.features import claims

folder = Path(sys.argv[1])
for number in range(int(sys.argv[2])):
    while (held := claims.claim(folder / "claims" / "a")) is None:
        claims.wait(folder / "claims" / "a")
    count = folder / "count"
    before = int(count.read_text())
    time.sleep(0.0005)  # where another would come between if the claim did not keep it out
    count.write_text(str(before + 1))
    held.release()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claims" / "a"


@contextmanager
def claimant(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that claims ``path``, tells, and releases it at a word."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND_STAY, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def wait_in_thread(path: Path) -> threading.Thread:
    waiting = threading.Thread(target=claims.wait, args=(path,), daemon=True)
    waiting.start()
    return waiting


def test_of_two_processes_one_gets_the_claim(path: Path) -> None:
    with claimant(path) as first:
        assert told(first) == "claimed"
        with claimant(path) as second:
            assert told(second) == "refused"
        assert claims.claim(path) is None


def test_who_waits_goes_on_once_the_other_has_released(path: Path) -> None:
    with claimant(path) as other:
        assert told(other) == "claimed"
        waiting = wait_in_thread(path)
        waiting.join(timeout=0.2)
        assert waiting.is_alive()
        say(other)
        assert told(other) == "released"
        waiting.join(timeout=20)
        assert not waiting.is_alive()
        held = claims.claim(path)
        assert held is not None
        held.release()


def test_who_waits_goes_on_once_the_other_was_killed_and_its_claim_is_free(path: Path) -> None:
    with claimant(path) as other:
        assert told(other) == "claimed"
        waiting = wait_in_thread(path)
        other.kill()
        waiting.join(timeout=20)
        assert not waiting.is_alive()
    assert path.exists()  # it had no time to tidy up
    held = claims.claim(path)
    assert held is not None
    held.release()
    assert not path.exists()


def test_two_threads_of_a_process_keep_each_other_out(path: Path) -> None:
    held = claims.claim(path)
    assert held is not None
    found: list[claims.Claim | None] = []
    thread = threading.Thread(target=lambda: found.append(claims.claim(path)))
    thread.start()
    thread.join()
    assert found == [None]
    held.release()


def test_nobody_waits_for_what_nobody_claimed(path: Path) -> None:
    claims.wait(path)
    path.parent.mkdir()
    path.touch()  # as a killed process leaves it
    claims.wait(path)


def test_processes_that_claim_and_release_by_turns_never_hold_it_together(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    num_processes, num_turns = 3, 60
    processes = [
        subprocess.Popen([sys.executable, "-c", CLAIM_IN_TURN, str(tmp_path), str(num_turns)])
        for _ in range(num_processes)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0] * num_processes
    assert (tmp_path / "count").read_text() == str(num_processes * num_turns)
    assert list((tmp_path / "claims").iterdir()) == []


def test_a_file_removed_between_opening_and_locking_is_not_taken_for_a_claim(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    removed: list[Path] = []

    def remove_then_lock(descriptor: int, operation: int) -> None:
        if not removed:  # as its holder does who releases it just now
            path.unlink()
            removed.append(path)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_then_lock)
    held = claims.claim(path)
    assert removed
    assert held is not None
    assert claims.claim(path) is None
    held.release()


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_on_a_file_system_without_locks_every_claim_succeeds_and_nobody_waits(
    path: Path, reason: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", refuse)
    first, second = claims.claim(path), claims.claim(path)
    assert first is not None
    assert second is not None
    assert list(path.parent.iterdir()) == []
    path.touch()
    claims.wait(path)
    first.release()
    second.release()


def test_a_folder_that_cannot_be_written_is_a_storage_error(path: Path) -> None:
    path.parent.write_text("a file in the folder's place")
    with pytest.raises(StorageError, match="could not be written"):
        claims.claim(path)


def test_a_sweep_removes_the_claims_of_the_dead_and_leaves_those_that_are_held(path: Path) -> None:
    left = path.with_name("left by a killed process")
    with claimant(path) as other:
        assert told(other) == "claimed"
        left.touch()
        claims.sweep(path.parent)
        assert list(path.parent.iterdir()) == [path]
        assert claims.claim(path) is None
    claims.sweep(path.parent)
    assert list(path.parent.iterdir()) == []
    claims.sweep(path.parent / "absent")
