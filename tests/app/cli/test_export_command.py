from __future__ import annotations

from pathlib import Path

from filmstrip.training.run_folder import RunFolder


def test_it_writes_a_folder_and_says_how_near_and_how_quick_it_is(
    filmstrip, finished_run: RunFolder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = filmstrip("export", finished_run.path, "--out", out, "--clips", 2)
    assert ended.exit_code == 0, ended.stderr
    assert "clip.onnx, frame.onnx, sample.onnx, step.onnx" in ended.stdout
    assert "Checked on 2 clips of the run's val part" in ended.stdout
    assert "PyTorch" in ended.stdout
    assert (out / "run.py").is_file()


def test_a_folder_that_holds_no_model_is_told_in_three_parts(filmstrip, tmp_path: Path) -> None:
    ended = filmstrip("export", tmp_path, "--out", tmp_path / "out")
    assert ended.exit_code == 1
    assert "holds no trained model" in ended.stderr
    assert "Next:" in ended.stderr


def test_an_unknown_format_is_a_usage_error(filmstrip, tmp_path: Path) -> None:
    assert filmstrip("export", tmp_path, "--out", tmp_path, "--format", "tflite").exit_code == 2
