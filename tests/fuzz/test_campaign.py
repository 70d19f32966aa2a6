from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from fuzzing import attacks, worker
from fuzzing.attacks import TARGETS, make_attack
from fuzzing.campaign import LONGEST_SECONDS, MOST_BYTES, run_campaign
from fuzzing.seeds import Seeds, make_seeds

NUM_INPUTS = int(os.environ.get("FILMSTRIP_TEST_FUZZ", "150"))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    return make_seeds(tmp_path_factory.mktemp("fuzz") / "seeds")


def test_damaged_inputs_do_no_harm(tmp_path: Path) -> None:
    report = run_campaign(range(NUM_INPUTS), seed=1, out=tmp_path / "findings", num_workers=1)
    assert report.findings == []
    assert report.outcomes.total() == NUM_INPUTS
    assert {target for target, _ in report.outcomes} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_undamaged_inputs_are_answered(
    target: str, seeds: Seeds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the attacks would only ever meet the first check."""
    for name in ("damaged_bytes", "damaged_json", "damaged_npz", "damaged_safetensors"):
        monkeypatch.setattr(attacks, name, lambda data, _rng, _other=b"": data)
    monkeypatch.setattr(attacks, "damaged_text", lambda data, _rng: data)
    monkeypatch.setattr(attacks, "TARGETS", {target: TARGETS[target]})
    codes: Counter[int] = Counter()
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        result = worker.run(seeds, 0, number, folder)
        assert result.fault == ""
        codes[result.exit_code] += 1
    # A file under another's suffix may be refused, and the doctor may find fault with small data.
    assert codes[0] >= 2
    assert set(codes) <= {0, 1}


def test_an_input_follows_from_its_number(seeds: Seeds, tmp_path: Path) -> None:
    def content(name: str) -> list[bytes]:
        folder = tmp_path / name
        folder.mkdir()
        path = make_attack(seeds, seed=3, number=14, folder=folder).input
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        return [file.read_bytes() for file in files if file.is_file()]

    assert content("first") == content("second")


def test_a_hang_a_crash_and_a_traceback_are_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (LONGEST_SECONDS, MOST_BYTES) == (60.0, 2 << 30)
    monkeypatch.setattr("fuzzing.campaign.LONGEST_SECONDS", 1.0)
    monkeypatch.setattr("fuzzing.campaign.serve", _harmful)
    report = run_campaign(range(4), seed=0, out=tmp_path, num_workers=1)
    faults = [found.fault for found in report.findings]
    assert [fault.split(" (")[0] for fault in faults] == [
        "a traceback was printed",
        "no end after 1 s",
        "the process died",
    ]
    assert len(list(tmp_path.glob("*/fault.txt"))) == 3


def _harmful(connection, _seeds, _seed, _scratch) -> None:  # type: ignore[no-untyped-def]
    import time

    while (number := connection.recv()) is not None:
        if number == 2:
            time.sleep(3600)
        if number == 3:
            os._exit(139)
        fault = "a traceback was printed" if number == 1 else ""
        connection.send(worker.Result(number, "table", ("split",), 0, fault, 0))
