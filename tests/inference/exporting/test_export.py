from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from filmstrip.errors import EngineError, FilmstripError, RunError
from filmstrip.inference.exporting import check, formats
from filmstrip.inference.exporting.check import Agreement
from filmstrip.inference.exporting.export import _workshop, export_run
from filmstrip.inference.exporting.report import Report
from filmstrip.model.classifier import load_classifier
from filmstrip.training.run_folder import RunFolder

GRAPHS = ["clip", "frame", "sample", "step"]


@pytest.fixture
def exported(exported_run: tuple[Path, Report]) -> tuple[Path, Report]:
    return exported_run


def test_the_folder_holds_graphs_a_runner_and_a_report(exported: tuple[Path, Report]) -> None:
    names = sorted(path.name for path in exported[0].iterdir())
    graphs = [f"{name}.onnx" for name in [*GRAPHS, "clip-int8", "step-int8"]]
    assert names == sorted([*graphs, "report.json", "report.md", "run.py"])
    assert not exported[0].with_name("exported.unchecked").exists()


def test_a_graph_says_all_that_is_needed_to_use_it(
    exported: tuple[Path, Report], finished_run: RunFolder
) -> None:
    spec = load_classifier(finished_run.path).spec
    for name in ("clip", "step", "clip-int8"):
        model = onnx.load(exported[0] / f"{name}.onnx")
        onnx.checker.check_model(model)
        props = {prop.key: prop.value for prop in model.metadata_props}
        keys = ("class_names", "temperature", "threshold", "sampling", "framing")
        about = {key: json.loads(props[key]) for key in keys}
        assert about["class_names"] == list(spec.class_names)
        assert about["temperature"] == spec.temperature
        assert about["threshold"] == spec.threshold
        assert about["sampling"] == spec.sampling.model_dump()
        assert about["framing"] == spec.framing.model_dump()


def test_the_axes_that_may_vary_are_named(exported: tuple[Path, Report]) -> None:
    shapes = {
        name: {
            each.name: [
                side.dim_param or side.dim_value for side in each.type.tensor_type.shape.dim
            ]
            for each in onnx.load(exported[0] / f"{name}.onnx").graph.input
        }
        for name in ("frame", "clip", "step")
    }
    assert shapes["frame"] == {"frame": ["height", "width", 3]}
    assert shapes["clip"] == {"frames": ["batch", "time", 32, 32, 3], "lengths": ["batch"]}
    assert shapes["step"]["frames"] == ["batch", 32, 32, 3]
    assert all("batch" in shape for shape in shapes["step"].values())


def test_the_state_that_is_described_is_what_goes_in_and_comes_out(
    exported: tuple[Path, Report],
) -> None:
    model = onnx.load(exported[0] / "step.onnx")
    about = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    names = [part["name"] for part in about["state"]]
    assert [each.name for each in model.graph.input] == ["frames", "is_first", *names]
    outputs = [each.name for each in model.graph.output]
    assert outputs == ["logits", "probs", *(f"next_{name}" for name in names)]


def test_the_report_tells_of_agreement_and_latency_side_by_side(
    exported: tuple[Path, Report],
) -> None:
    folder, report = exported
    stored = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert stored["passes"]
    assert [each["way"] for each in stored["agreements"]] == ["clip", "clip, padded batch", "step"]
    assert all(each["largest_probability"] <= 1e-4 for each in stored["agreements"])
    assert stored["seen"]["num_other_frames"] == stored["seen"]["num_other_bytes"] == 0
    assert stored["checked_on"] == "3 clips of the run's val part"
    timed = {each["graph"] for each in stored["latencies"]}
    assert timed == {"frame", "clip", "step", "clip-int8", "step-int8"}
    assert all(each["torch_milliseconds"] > 0 for each in stored["latencies"])
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "All agree with PyTorch" in text
    assert report.passes


def test_eight_bits_are_smaller_and_their_cost_is_measured_on_the_validation_part(
    exported: tuple[Path, Report], finished_run: RunFolder
) -> None:
    folder, report = exported
    rows = finished_run.splits_file.read_text(encoding="utf-8").splitlines()
    assert report.int8 is not None
    assert report.int8.num_clips == sum(row.endswith(",val") for row in rows)
    assert 0 <= report.int8.int8_accuracy <= 1
    assert report.int8.mean_probability > 0
    metrics = finished_run.metrics()
    assert metrics is not None
    sizes = [(folder / f"{name}.onnx").stat().st_size for name in ("clip-int8", "clip")]
    assert sizes[0] < sizes[1]
    kinds = {node.op_type for node in onnx.load(folder / "step-int8.onnx").graph.node}
    assert {"QuantizeLinear", "GRU"} <= kinds


def test_pytorchs_own_format_is_checked_alike(finished_run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = export_run(finished_run.path, out, "torch-export", num_clips=2)
    assert report.passes
    names = {path.name for path in out.iterdir()}
    assert names == {*(f"{name}.pt2" for name in GRAPHS), "report.json", "report.md"}
    about = {"class_names": ""}
    torch.export.load(out / "clip.pt2", extra_files=about)
    assert json.loads(about["class_names"]) == ["left", "right", "up"]


def test_without_the_data_clips_are_rendered_and_it_is_said(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(finished_run.model, tmp_path / "model"))
    report = export_run(model, tmp_path / "out", "torch-export")
    assert report.passes
    assert "rendered for it" in report.checked_on
    assert "not a run folder" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_graphs_that_do_not_agree_are_not_handed_over(
    finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    with pytest.raises(EngineError, match="differ from") as error:
        export_run(finished_run.path, tmp_path / "out", "torch-export", num_clips=1)
    assert not (tmp_path / "out").exists()
    left = tmp_path / "out.unchecked"
    assert str(left / "report.md") in error.value.remedy
    assert not json.loads((left / "report.json").read_text(encoding="utf-8"))["passes"]
    monkeypatch.undo()
    assert export_run(finished_run.path, tmp_path / "out", "torch-export", num_clips=1).passes
    assert not left.exists()


KILLED_EXPORT = """
import os, signal, sys
from pathlib import Path
from filmstrip.inference.exporting.export import _workshop
with _workshop(Path(sys.argv[1])) as folder:
    (folder / "clip.onnx").write_bytes(b"half")
    (folder / "parts").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", ["out", "o" * 250])
def test_an_export_removes_what_a_killed_one_left(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    subprocess.run([sys.executable, "-c", KILLED_EXPORT, str(out)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with _workshop(out) as folder:
        assert [path.name for path in folder.iterdir()] == [".lock"]
        (folder / "clip.onnx").write_bytes(b"whole")
    assert list(tmp_path.iterdir()) == [out]
    assert [path.name for path in out.iterdir()] == ["clip.onnx"]


def test_an_export_leaves_another_one_that_runs_alone(tmp_path: Path) -> None:
    with _workshop(tmp_path / "out") as folder:
        (folder / "clip.onnx").write_bytes(b"first")
        with (
            pytest.raises(RunError, match="another Filmstrip process"),
            _workshop(tmp_path / "out"),
        ):
            pass
        assert (folder / "clip.onnx").read_bytes() == b"first"


def test_an_export_leaves_a_folder_of_somebody_else_alone(tmp_path: Path) -> None:
    taken = tmp_path / "out.unchecked"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="not made by"), _workshop(tmp_path / "out"):
        pass
    assert (taken / "mine.txt").read_text() == "mine"


def test_a_probability_that_is_no_number_agrees_with_nothing() -> None:
    assert Agreement("clip", 1, 1e-4, 0.0, 0).is_close
    assert not Agreement("clip", 1, 1.1e-4, 0.0, 0).is_close
    assert not Agreement("clip", 1, float("nan"), 0.0, 0).is_close


def test_a_folder_with_something_in_it_is_left_alone(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        export_run(finished_run.path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_goes_wrong_midway_leaves_nothing(
    finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_settings: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(FilmstripError, match="disk is full"):
        export_run(finished_run.path, tmp_path / "out", "torch-export")
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_missing_is_named(
    finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(EngineError, match="onnxscript not installed") as error:
        export_run(finished_run.path, tmp_path / "out")
    assert "filmstrip[export]" in error.value.remedy


def test_eight_bits_want_onnx_and_a_run(finished_run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="--int8 with --format torch-export"):
        export_run(finished_run.path, tmp_path / "out", "torch-export", int8=True)
    with pytest.raises(RunError, match="not a run folder"):
        export_run(finished_run.model, tmp_path / "out", int8=True)
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_which_the_graph_differs_is_counted() -> None:
    logits = [torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 1.0]])]
    probs = [each.softmax(dim=1) for each in logits]
    same, other = [(logits[0], probs[0])], [(logits[1], probs[1])]
    found = check._agreement("clip", same * 2, same + other)
    assert (found.num_clips, found.num_other_labels, found.largest_logit) == (2, 1, 1.0)
    np.testing.assert_allclose(found.largest_probability, 0.4621, atol=1e-4)
