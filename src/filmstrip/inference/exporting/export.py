"""A run becomes a folder of graphs that were checked against it.

FOLDER/
  sample.onnx      when a clip's frames come → which are looked at
  frame.onnx       a picture of any size → the square that the model reads
  clip.onnx        framed clips → logits, probabilities
  step.onnx        one more frame and the state → the answer so far, the next state
  clip-int8.onnx, step-int8.onnx
  run.py           says what a video shows; needs onnxruntime, numpy and PyAV
  report.json, report.md

With ``torch-export`` the graphs end in ``.pt2``. The folder appears under its name only once its
graphs have answered as the classifier does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import torch

from filmstrip.dataset.index import VideoIndex
from filmstrip.errors import EngineError, RunError
from filmstrip.inference.exporting.check import TOLERANCE, check_answers, measure_latency
from filmstrip.inference.exporting.clips import clips_to_check, own_clips
from filmstrip.inference.exporting.formats import SUFFIXES, Format, check_installed, opened, write
from filmstrip.inference.exporting.graphs import Graph, graphs_of, why_no_step
from filmstrip.inference.exporting.int8 import (
    Int8Cost,
    calibration_clips,
    measure_cost,
    quantise,
)
from filmstrip.inference.exporting.report import TEXT_FILE, Report
from filmstrip.model.classifier import load_classifier
from filmstrip.model.specs import ClassifierSpec
from filmstrip.storage import LOCK_FILE, fitting_name, locked, writing
from filmstrip.training.reporter import Reporter

RUNNER_FILE = "run.py"


def export_run(
    run: Path,
    out: Path,
    file_format: Format = "onnx",
    int8: bool = False,
    num_clips: int = 8,
    reporter: Reporter | None = None,
) -> Report:
    """Export the classifier of ``run`` and check it.

    Args:
        run: a run folder, or a model folder.
        out: a new or empty folder.
        file_format: of the graphs.
        int8: write eight-bit twins, too, and measure their cost; for ONNX and run folders only.
        num_clips: how many clips to check on.
        reporter: hears of progress.

    Raises:
        EngineError: a package is missing, the network cannot be exported, or the graphs do not
            answer as it does; what was written is then left beside ``out``, and named.
        FilmstripError: there is no such run, the folder is in use, or the disk is full.
    """
    reporter = reporter or Reporter()
    check_installed(file_format)
    if int8 and file_format != "onnx":
        raise EngineError(
            f"--int8 with --format {file_format}",
            "--format onnx: ONNX Runtime does the quantising",
            "leave out one of the two.",
        )
    classifier = load_classifier(run)
    graphs = graphs_of(classifier)
    index = own_clips(run) if int8 else None
    with _workshop(out) as folder:
        paths = {graph.name: folder / f"{graph.name}{SUFFIXES[file_format]}" for graph in graphs}
        with reporter.phase("Exporting", len(graphs)) as advance:
            for graph in graphs:
                write(graph, classifier.spec, file_format, paths[graph.name])
                advance(graph.name)
        runs = {name: opened(path) for name, path in paths.items()}
        with (
            clips_to_check(run, num_clips) as (rows, origin),
            reporter.phase("Checking", len(rows)) as advance,
        ):
            agreements, seen, clips = check_answers(classifier, graphs, runs, rows, advance)
        longest = max(clips, key=len)
        timed = [graph for graph in graphs if graph.name != "sample"]
        latencies = [measure_latency(graph, runs[graph.name], longest) for graph in timed]
        cost = None
        if index is not None:
            cost, twins = _quantise(index, graphs, paths, classifier.spec, reporter)
            for graph in graphs:
                if graph.name in twins:
                    latency = measure_latency(graph, opened(twins[graph.name]), longest)
                    latencies.append(replace(latency, graph=f"{graph.name}-int8"))
        written = sorted(path for path in folder.iterdir() if path.name != LOCK_FILE)
        sizes = {path.name: path.stat().st_size for path in written}
        if file_format == "onnx":
            shutil.copyfile(str(files(__package__) / RUNNER_FILE), folder / RUNNER_FILE)
        report = Report(
            run,
            file_format,
            sizes,
            why_no_step(classifier.spec),
            origin,
            tuple(agreements),
            seen,
            tuple(latencies),
            cost,
            torch.get_num_threads(),
        )
        report.write(folder)
        if not report.passes:
            worst = max(agreements, key=lambda agreement: agreement.largest_probability)
            raise _DisagreementError(
                f"{out}: was not made, since the {worst.way} graph's probabilities differ from "
                f"PyTorch's by up to {worst.largest_probability:.1e}",
                f"at most {TOLERANCE:g}",
                f"see {folder / TEXT_FILE}; try another version of torch or onnxruntime, or "
                "another --format.",
            )
    return report


class _DisagreementError(EngineError):
    """The graphs do not answer as the classifier does; what was written stays for a look."""


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """A folder next to ``out`` that takes its name once the block ends well.

    After a disagreement it stays, to be looked at; any other end removes it, and the next export
    removes what a killed one left. The lock in it tells such a folder from other people's.

    Raises:
        RunError: ``out`` is not empty, another export is writing, or a folder in the way was not
            made by an export.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(
            f"{out}: is there already, and not empty",
            "a new or empty folder for the graphs",
            "give another --out.",
        )
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    workshop = out.with_name(fitting_name(out.name, ".unchecked", out.parent))
    if workshop.exists() and not (workshop / LOCK_FILE).is_file():
        raise RunError(
            f"{workshop}: is there already, and was not made by this version of 'filmstrip export'",
            "a free name for the folder in which the graphs are checked",
            "delete it if you do not need it, or give another --out.",
        )
    with locked(workshop), writing(out):
        _clear(workshop)
        try:
            yield workshop
            (workshop / LOCK_FILE).unlink()
            workshop.replace(out)
        except _DisagreementError:
            raise
        except BaseException:
            shutil.rmtree(workshop, ignore_errors=True)
            raise


def _clear(workshop: Path) -> None:
    """Remove what an earlier export left."""
    for path in workshop.iterdir():
        if path.name != LOCK_FILE:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _quantise(
    index: VideoIndex,
    graphs: Sequence[Graph],
    paths: dict[str, Path],
    spec: ClassifierSpec,
    reporter: Reporter,
) -> tuple[Int8Cost, dict[str, Path]]:
    """Write the eight-bit twins of ``clip`` and ``step``; what they cost, and their files."""
    twins = {}
    networks = [graph for graph in graphs if graph.name in ("clip", "step")]
    with reporter.phase("Quantising", len(networks)) as advance:
        clips = calibration_clips(index, spec)
        for graph in networks:
            source = paths[graph.name]
            twins[graph.name] = source.with_name(f"{source.stem}-int8{source.suffix}")
            quantise(graph, source, twins[graph.name], clips)
            advance(graph.name)
    with reporter.phase("Measuring int8", len(index.subset("val").rows)) as advance:
        cost = measure_cost(paths["clip"], twins["clip"], index, spec, len(clips), advance)
    return cost, twins
