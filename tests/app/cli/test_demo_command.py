from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from filmstrip.dataset.synthetic import MOTIONS
from filmstrip.training.run_folder import RunFolder


def test_the_demo_renders_trains_measures_and_predicts_and_goes_on_where_it_was_cut_short(
    filmstrip: Callable[..., Any], tmp_path: Path
) -> None:
    command = (
        "demo",
        "--out",
        tmp_path / "demo",
        "--clips-per-class",
        8,
        "--recipe",
        "mean-linear",
    )
    quick = ("--set", "framing.size=32", "--set", "sampling.num_frames=3")
    shown = filmstrip(*command, *quick, "--set", "training.epochs=1")
    assert shown.exit_code == 0, shown.stderr
    assert "Rendering videos: 80/80" in shown.stderr
    videos, run = tmp_path / "demo" / "videos", RunFolder(tmp_path / "demo" / "run")
    assert {path.name for path in videos.iterdir()} == set(MOTIONS)
    metrics = run.metrics()
    assert metrics is not None
    assert f"{metrics['test']['accuracy']:.3f}" in shown.stdout
    answers = [line for line in shown.stdout.splitlines() if ".mp4" in line]
    assert len(answers) == len(MOTIONS)
    assert all(answer.split()[1] in MOTIONS for answer in answers)
    assert (tmp_path / "demo" / "answers.png").read_bytes().startswith(b"\x89PNG")

    [clip] = [path for path in (videos / "left").iterdir() if path.stem.endswith("3")]
    others = {path: path.stat().st_mtime_ns for path in videos.rglob("*.mp4") if path != clip}
    before = clip.read_bytes()
    clip.unlink()
    again = filmstrip(*command, *quick, "--set", "training.epochs=1")
    assert again.exit_code == 0
    assert clip.read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in others} == others
    assert again.stdout == shown.stdout
