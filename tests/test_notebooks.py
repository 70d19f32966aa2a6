"""The notebooks run as they stand, and what is saved in them can be shown to anyone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 400_000
# Where people and programs keep their files: a path below these tells of its author's machine.
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/(home|Users|root|tmp|var|work|mnt|opt)/|[A-Z]:\\\\")

a_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_the_walk_through_vgg16_and_lstm_is_among_the_notebooks() -> None:
    assert FOLDER / "vgg16_lstm.ipynb" in NOTEBOOKS


@a_notebook
def test_a_notebook_runs_from_top_to_bottom_without_network_and_leaves_nothing_behind(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working_folder = tmp_path / "work"
    working_folder.mkdir()
    monkeypatch.setenv("FILMSTRIP_CACHE", str(tmp_path / "cache"))
    # Neither a weights file nor what the hub has left on this machine: random weights, said aloud.
    monkeypatch.delenv("VGG16_WEIGHTS", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(working_folder)}}
    )
    client.execute()
    assert "RANDOM weights" in _printed(notebook.cells)
    assert list(working_folder.iterdir()) == []


@a_notebook
def test_every_cell_of_a_saved_notebook_was_run_in_order(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@a_notebook
def test_a_saved_notebook_is_small_and_shows_no_path_and_no_complaint(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [
        value
        for output in outputs
        for name, value in [("text", output.get("text", "")), *output.get("data", {}).items()]
        if not name.startswith("image/")
    ]
    assert ABSOLUTE_PATH.search(json.dumps(texts)) is None
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert path.stat().st_size < MOST_BYTES


def _printed(cells: list[nbformat.NotebookNode]) -> str:
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
