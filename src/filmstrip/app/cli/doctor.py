"""``filmstrip doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmstrip.app.cli.options import (
    AllowMissingClassesOption,
    ClassFoldersName,
    ClassFoldersOption,
    GroupPatternOption,
    ListNumberOption,
    ListsOption,
    RecipeOption,
    SetOption,
)

if TYPE_CHECKING:
    from rich.text import Text

    from filmstrip.app.doctor.checkup import Checkup
    from filmstrip.dataset.doctor.findings import Finding

_MOST_LINES_A_KIND = 8


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog="Example: `filmstrip doctor videos/ --html doctor.html --quarantine bad.csv`, then "
        "`filmstrip train videos/ --quarantine bad.csv --out run`"
    )(doctor)


def doctor(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEOS",
            help="Folder of class folders (alone, or inside folders of splits or groups), or CSV "
            "with path,label.",
            show_default=False,
        ),
    ],
    html: Annotated[
        Path | None, typer.Option(help="Write a page with thumbnails; one file, no network.")
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(help="Write a CSV of the files to leave out, which `train` honours."),
    ] = None,
    recipe: RecipeOption = "lite-gru",
    overrides: SetOption = None,
    group_pattern: GroupPatternOption = None,
    lists: ListsOption = None,
    list_number: ListNumberOption = 1,
    class_folders: ClassFoldersOption = ClassFoldersName.auto,
    allow_missing_classes: AllowMissingClassesOption = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode; one a core if left out.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with every finding.")
    ] = False,
) -> None:
    """Decode every file whole and say what is wrong with the data set, and why.

    Finds broken files, copies, labels that disagree, splits that leak, and classes that can be told
    apart without looking. What was decoded is remembered: run it again to go on, or after a repair.
    The exit code is 1 if there are errors; warnings and notes leave it at 0.
    """
    from filmstrip.app.cli.console import ConsoleReporter, messages, show_json
    from filmstrip.app.doctor.checkup import check_up
    from filmstrip.app.doctor.page import write_page
    from filmstrip.cache import Cache
    from filmstrip.dataset.doctor.findings import Severity
    from filmstrip.dataset.doctor.quarantine import to_set_aside, write_quarantine
    from filmstrip.dataset.index import open_index
    from filmstrip.recipes.catalogue import load_recipe

    sampling = load_recipe(recipe, overrides or []).sampling
    index = open_index(
        data,
        lists=lists,
        list_number=list_number,
        group_pattern=group_pattern,
        class_folders=class_folders.value,
    )
    for sentence in index.summary():
        messages.print(sentence, soft_wrap=True)
    checkup = check_up(
        index, sampling, Cache.at(None), workers, ConsoleReporter(), allow_missing_classes
    )
    if as_json:
        show_json(_as_json(checkup))
    else:
        _print(checkup)
    if html is not None:
        write_page(checkup, html)
        messages.print(f"Page: {html}", soft_wrap=True)
    if quarantine is not None:
        reasons = to_set_aside(checkup.findings)
        write_quarantine(quarantine, reasons, index.root)
        messages.print(
            f"{len(reasons)} files to leave out: {quarantine}",
            soft_wrap=True,
        )
    if checkup.count(Severity.error):
        raise typer.Exit(1)


def _print(checkup: Checkup) -> None:
    from itertools import groupby

    from rich.table import Table
    from rich.text import Text

    from filmstrip.app.cli.console import output
    from filmstrip.dataset.doctor.findings import KINDS, Severity

    index = checkup.index
    seen = f"{len(index)} clips of {len(index.class_names)} classes"
    if not checkup.findings:
        output.print(f"Sound: {seen}, every file decoded whole.", soft_wrap=True)
        _print_sampling(checkup)
        return
    styles = {Severity.error: "bold red", Severity.warning: "yellow", Severity.note: "blue"}
    for (severity, kind), group in groupby(
        checkup.findings, key=lambda finding: (finding.severity, finding.kind)
    ):
        findings = list(group)
        style = styles[severity]
        output.print()
        output.print(Text(KINDS[kind], style), f"({severity}, {len(findings)})")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        for finding in findings[:_MOST_LINES_A_KIND]:
            table.add_row(_names(finding, checkup), finding.cause)
        output.print(table)
        if len(findings) > _MOST_LINES_A_KIND:
            output.print(f"  and {len(findings) - _MOST_LINES_A_KIND} more: see --json or --html")
        is_for_all = len({finding.remedy for finding in findings}) == 1
        told = "Next" if is_for_all else f"Next, for {_name(findings[0].paths[0], checkup)}"
        output.print(f"  {told}: {findings[0].remedy}.", soft_wrap=True)
    counts = ", ".join(
        f"{checkup.count(severity)} {severity}{'' if checkup.count(severity) == 1 else 's'}"
        for severity in Severity
    )
    output.print()
    output.print(f"{seen}: {counts}.", soft_wrap=True)
    _print_sampling(checkup)


def _print_sampling(checkup: Checkup) -> None:
    from filmstrip.app.cli.console import output

    for note in checkup.sampling_notes:
        output.print(note, soft_wrap=True, markup=False)


def _names(finding: Finding, checkup: Checkup) -> Text:
    from rich.text import Text

    from filmstrip.text import printable

    names = [printable(_name(path, checkup)) for path in finding.paths]
    more = [f"and {len(names) - 3} more"] if len(names) > 3 else []
    return Text("\n".join([*names[:3], *more]) or "all clips")


def _name(path: Path, checkup: Checkup) -> str:
    root = checkup.index.root
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _as_json(checkup: Checkup) -> dict[str, Any]:
    from dataclasses import asdict

    from filmstrip.dataset.doctor.findings import Severity

    return {
        "root": str(checkup.index.root),
        "sampling": checkup.sampling.model_dump(mode="json"),
        "sampling_notes": list(checkup.sampling_notes),
        "num_clips": len(checkup.index),
        "class_names": list(checkup.index.class_names),
        "lost_classes": list(checkup.index.lost_classes),
        "reading": checkup.index.reading,
        "grouping": checkup.index.grouping,
        "counts": {severity.value: checkup.count(severity) for severity in Severity},
        "leaks": {
            "metadata": asdict(checkup.metadata) if checkup.metadata else None,
            "border": asdict(checkup.border) if checkup.border else None,
        },
        "clusters": [
            [_name(path, checkup) for path in cluster] for cluster in checkup.copies.clusters
        ],
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity.value,
                "paths": [_name(path, checkup) for path in finding.paths],
                "cause": finding.cause,
                "remedy": finding.remedy,
                "stretches": [[one.start_seconds, one.end_seconds] for one in finding.stretches],
                "set_aside": [_name(path, checkup) for path in finding.set_aside],
                "figures": dict(finding.figures),
            }
            for finding in checkup.findings
        ],
    }
