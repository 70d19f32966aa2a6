"""Many inputs handed to worker processes, under a clock and a memory bound; findings are kept."""

from __future__ import annotations

import json
import multiprocessing
import os
import shlex
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from fuzzing.attacks import make_attack
from fuzzing.seeds import Seeds, make_seeds
from fuzzing.worker import Result, serve

LONGEST_SECONDS = 60.0
MOST_BYTES = 2 << 30
# The first command of a worker imports torch and the rest of the stack.
_START_SECONDS = 120.0


@dataclass
class Report:
    """What a campaign found.

    Attributes:
        outcomes: how many inputs of each target ended with which exit code.
        findings: what must not happen: target, number and the fault in words.
        peak_bytes: the most memory that any input took.
        slowest_seconds: the longest that any input took, but the first of each worker.
    """

    outcomes: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: list[Result] = field(default_factory=list)
    peak_bytes: int = 0
    slowest_seconds: float = 0.0


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    number: int
    deadline: float
    started: float
    is_fresh: bool = True


def run_campaign(
    numbers: Iterable[int],
    seed: int,
    out: Path,
    num_workers: int = 2,
    advance: Callable[[Result], None] = lambda _result: None,
) -> Report:
    """Run the inputs of these numbers, and keep those that failed below ``out``.

    Args:
        numbers: which inputs.
        seed: of all inputs.
        out: folder for findings; made when there is one.
        num_workers: processes side by side.
        advance: called after each input.
    """
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["FILMSTRIP_CACHE"] = str(Path(scratch, "cache"))
        seeds = make_seeds(Path(scratch, "seeds"))
        pending = iter(numbers)
        workers: list[_Worker] = []
        try:
            for number in pending:
                workers.append(_start(seeds, seed, Path(scratch), number))
                if len(workers) == num_workers:
                    break
            while workers:
                _await_one(workers, pending, seeds, seed, Path(scratch), out, report, advance)
        finally:
            for worker in workers:
                worker.process.kill()
    return report


def _start(seeds: Seeds, seed: int, scratch: Path, number: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, seeds, seed, scratch))
    process.start()
    theirs.close()
    ours.send(number)
    now = time.monotonic()
    return _Worker(process, ours, number, now + _START_SECONDS, now)


def _await_one(
    workers: list[_Worker],
    pending: Iterable[int],
    seeds: Seeds,
    seed: int,
    scratch: Path,
    out: Path,
    report: Report,
    advance: Callable[[Result], None],
) -> None:
    """Wait until one worker has answered, died or run out of time, and give it more to do."""
    patience = max(min(worker.deadline for worker in workers) - time.monotonic(), 0)
    ready = wait([worker.connection for worker in workers], patience)
    for worker in list(workers):
        is_ready = worker.connection in ready
        if not is_ready and time.monotonic() < worker.deadline:
            continue
        result = _result(worker, is_ready, seeds, seed)
        is_alive = worker.process.is_alive() and is_ready and result.exit_code >= 0
        _record(result, worker, seeds, seed, out, report)
        advance(result)
        following = next(iter(pending), None)
        if is_alive and following is not None:
            now = time.monotonic()
            worker.connection.send(following)
            worker.number, worker.is_fresh = following, False
            worker.started, worker.deadline = now, now + LONGEST_SECONDS
            continue
        worker.process.kill()
        workers.remove(worker)
        if following is not None:
            workers.append(_start(seeds, seed, scratch, following))


def _result(worker: _Worker, is_ready: bool, seeds: Seeds, seed: int) -> Result:
    fault = f"no end after {LONGEST_SECONDS:g} s"
    if is_ready:
        try:
            answered: Result = worker.connection.recv()
            return answered
        except (EOFError, OSError):
            worker.process.join()
            fault = f"the process died (exit code {worker.process.exitcode})"
    with tempfile.TemporaryDirectory() as folder:
        attack = make_attack(seeds, seed, worker.number, Path(folder))
    return Result(worker.number, attack.target, attack.arguments, -1, fault, 0)


def _record(
    result: Result, worker: _Worker, seeds: Seeds, seed: int, out: Path, report: Report
) -> None:
    report.outcomes[result.target, result.exit_code] += 1
    report.peak_bytes = max(report.peak_bytes, result.peak_bytes)
    if not worker.is_fresh:
        seconds = time.monotonic() - worker.started
        report.slowest_seconds = max(report.slowest_seconds, seconds)
    fault = result.fault
    if not fault and result.peak_bytes > MOST_BYTES:
        fault = f"{result.peak_bytes / 2**30:.1f} GiB of memory"
    if not fault:
        return
    found = Result(**{**result.__dict__, "fault": fault})
    report.findings.append(found)
    _keep(found, seeds, seed, out)


def _keep(found: Result, seeds: Seeds, seed: int, out: Path) -> None:
    """The input, the command and the fault, in a folder of their own."""
    folder = out / f"{seed}-{found.number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_attack(seeds, seed, found.number, folder)
    (folder / "fault.txt").write_text(
        f"{found.target}, input {found.number} of seed {seed}\n"
        f"filmstrip {shlex.join(found.arguments)}\n{found.fault}\n",
        encoding="utf-8",
    )


def as_json(report: Report) -> str:
    """The report for programs."""
    return json.dumps(
        {
            "outcomes": {
                f"{target}: exit {code}": count
                for (target, code), count in sorted(report.outcomes.items())
            },
            "findings": [found.__dict__ for found in report.findings],
            "peak_bytes": report.peak_bytes,
            "slowest_seconds": report.slowest_seconds,
        },
        indent=2,
    )
