"""Extractions that are killed, and extractions beside each other: real processes, real kills.

``FILMSTRIP_TEST_KILLS`` and ``FILMSTRIP_TEST_CLIPS`` ask for more of both than a quick run has.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from filmstrip.features.store import FeatureStore
from filmstrip.video.encode import write_video

NUM_KILLS = int(os.environ.get("FILMSTRIP_TEST_KILLS", "3"))
NUM_CLIPS = int(os.environ.get("FILMSTRIP_TEST_CLIPS", "16"))
ENGINE = os.environ.get("FILMSTRIP_TEST_ENGINE", "eager-fp32")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(NUM_CLIPS):
        rng = np.random.default_rng(number)
        frames = rng.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
        write_video(folder / f"clip_{number:03d}.mp4", frames, 8)
    return folder


def extracting(videos: Path, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from filmstrip.app.cli import main; main()", "extract"]
    settings = ("--backbone", "tf_efficientnet_lite0", "--engine", ENGINE, "--json")
    changes = (
        "--set",
        "sampling={kind: uniform, num_frames: 8}",
        "--set",
        "training.views=[plain]",
    )
    return subprocess.Popen(
        [*command, str(videos), *settings, *changes],
        env=os.environ | {"FILMSTRIP_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def extract(videos: Path, cache: Path) -> dict[str, int]:
    return finished(extracting(videos, cache))


def finished(process: subprocess.Popen[str]) -> dict[str, int]:
    output, messages = process.communicate()
    assert process.returncode == 0, messages
    summary: dict[str, int] = json.loads(output)
    return summary


def entries(cache: Path) -> dict[str, int]:
    """The keys of all entries, each with the inode of its file, which a rewritten one changes."""
    store = FeatureStore(cache / "features")
    return {key: store.path(key).stat().st_ino for key in store.keys()}  # noqa: SIM118


def kill_amid_work(videos: Path, cache: Path, rng: random.Random) -> None:
    """Start an extraction and kill it at a random moment after it has added to the store."""
    num_before = len(entries(cache))
    process = extracting(videos, cache)
    while process.poll() is None and len(entries(cache)) == num_before:
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.5))
    process.kill()
    process.communicate()


def test_a_store_filled_by_killed_extractions_is_that_of_one_that_was_not(
    clips: Path, tmp_path: Path
) -> None:
    rng = random.Random(0)  # noqa: S311
    kept: dict[str, int] = {}
    for _ in range(NUM_KILLS):
        kill_amid_work(clips, tmp_path / "killed", rng)
        now = entries(tmp_path / "killed")
        assert kept.items() <= now.items(), "an entry was lost or computed again"
        kept = now
    summary = extract(clips, tmp_path / "killed")
    assert summary["num_cached"] == len(kept)
    assert kept.items() <= entries(tmp_path / "killed").items()

    extract(clips, tmp_path / "whole")
    stores = [FeatureStore(tmp_path / name / "features") for name in ("killed", "whole")]
    keys = [sorted(store.keys()) for store in stores]
    assert keys[0] == keys[1]
    assert len(keys[0]) == NUM_CLIPS
    for key in keys[0]:
        features, expected = (store.read(key) for store in stores)
        if ENGINE.endswith("fp32"):
            assert torch.equal(features, expected)
        else:
            assert torch.cosine_similarity(features, expected, dim=1).min() >= 0.9999


def test_two_extractions_of_one_folder_share_the_work(clips: Path, tmp_path: Path) -> None:
    together = [extracting(clips, tmp_path) for _ in range(2)]
    summaries = [finished(process) for process in together]
    assert sum(summary["num_computed"] for summary in summaries) == NUM_CLIPS
    assert all(summary["num_failed"] == 0 for summary in summaries)
    assert len(entries(tmp_path)) == NUM_CLIPS
