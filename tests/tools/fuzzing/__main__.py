"""``make fuzz``: ten thousand damaged inputs; exit code 1 if any of them did harm."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.progress import Progress

from fuzzing.campaign import as_json, run_campaign
from fuzzing.worker import Result


def main() -> None:
    """Read the options, run the campaign and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m fuzzing", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the one input of this number")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    numbers = range(options.inputs) if options.only is None else [options.only]
    with Progress() as progress:
        task = progress.add_task("Attacking", total=len(numbers))

        def advance(result: Result) -> None:
            progress.advance(task)
            if result.fault:
                last = result.fault.strip().splitlines()[-1][:200]
                progress.console.print(f"{result.number}: {result.target}: {last}", markup=False)

        report = run_campaign(numbers, options.seed, options.out, options.workers, advance)
    print(as_json(report))
    if report.findings:
        print(f"{len(report.findings)} findings are in {options.out}.", file=sys.stderr)
    sys.exit(bool(report.findings))


if __name__ == "__main__":
    main()
