"""A process that runs one command after the other, and reports how each ended."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
import sys
import tempfile
import traceback
import unicodedata
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from fuzzing.attacks import make_attack
from fuzzing.seeds import Seeds


@dataclass(frozen=True)
class Result:
    """How one command ended.

    Attributes:
        number: which input it was.
        target: the kind of input.
        arguments: the command line.
        exit_code: of the command.
        fault: what must not happen, in words with the evidence; empty if all was well.
        peak_bytes: the most memory that this process, or one that it started, has held.
    """

    number: int
    target: str
    arguments: tuple[str, ...]
    exit_code: int
    fault: str
    peak_bytes: int


def serve(connection: Connection, seeds: Seeds, seed: int, scratch: Path) -> None:
    """Answer each number that comes with the ``Result`` of its input; None ends it."""
    while (number := connection.recv()) is not None:
        folder = Path(tempfile.mkdtemp(dir=scratch))
        connection.send(run(seeds, seed, number, folder))
        shutil.rmtree(folder)


def run(seeds: Seeds, seed: int, number: int, folder: Path) -> Result:
    """Make the input of this number in ``folder`` and run its command in this process."""
    attack = make_attack(seeds, seed, number, folder)
    _forget_peak()
    exit_code, printed, told, fault = _call(attack.arguments)
    fault = fault or _fault_of_output(attack.arguments, printed, told)
    return Result(number, attack.target, attack.arguments, exit_code, fault, _peak_bytes())


def _call(arguments: tuple[str, ...]) -> tuple[int, str, str, str]:
    """Exit code, standard output, standard error, and a traceback if there was one."""
    from filmstrip.app.cli import main

    # Streams over bytes, as a shell's are: the command line sets how they write odd names.
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    sys.argv = ["filmstrip", *arguments]
    exit_code, fault = 0, ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            exit_code = int(ended.code or 0)
        except BaseException:
            fault = traceback.format_exc()
    return exit_code, _text(out), _text(err), fault


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


def _fault_of_output(arguments: tuple[str, ...], printed: str, told: str) -> str:
    if "Traceback (most recent call last)" in printed + told:
        return f"a traceback was printed: {told[-3000:]}"
    for character in printed + told:
        if unicodedata.category(character) == "Cc" and character not in "\n\t":
            return f"the control character {character!r} was printed: {(printed + told)[-1000:]!r}"
    if "--json" in arguments:
        for line in printed.splitlines():
            try:
                json.loads(line, parse_constant=_no_json)
            except ValueError as error:
                return f"no JSON ({error}): {line[:1000]!r}"
    return ""


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _forget_peak() -> None:
    """Let the system's record of this process's peak begin again."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, children) * 1024
