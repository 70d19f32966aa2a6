"""``filmstrip cache``: list, size, verify and prune what was computed and kept."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from filmstrip.features.store import FeatureStore
    from filmstrip.features.upkeep import StoredFile

SECONDS_PER_DAY = 24 * 3600
UNITS = {"B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BINARY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        exists=True,
        file_okay=False,
        help="The cache; $FILMSTRIP_CACHE if not given, else ~/.cache/filmstrip.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="List, measure, verify and prune the features and frames that are kept.",
        epilog="Example: `filmstrip cache list`",
    )
    group.command("list", epilog="Example: `filmstrip cache list --json`")(list_groups)
    group.command(epilog="Example: `filmstrip cache size`")(size)
    group.command(epilog="Example: `filmstrip cache verify --delete`")(verify)
    group.command(
        epilog="Example: `filmstrip cache prune --older-than 30 --to 20GB --dry-run`",
    )(prune)
    app.add_typer(group, name="cache")


def list_groups(
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what is kept: by backbone, precision and shape."""
    from rich.filesize import decimal
    from rich.table import Table

    from filmstrip.app.cli.console import messages, output, show_json
    from filmstrip.features.upkeep import groups

    store = _store(cache)
    found = groups(store)
    if as_json:
        listed = [
            {
                "origin": group.origin,
                "precision": group.precision,
                "frame_shape": group.frame_shape,
                "num_entries": group.num_entries,
                "num_bytes": group.num_bytes,
                "last_use": _moment(group.last_use).isoformat(timespec="seconds"),
            }
            for group in found
        ]
        show_json({"folder": str(store.folder), "groups": listed})
        return
    if not found:
        messages.print(f"Nothing is kept in {store.folder}.", soft_wrap=True)
        return
    table = Table("from", "precision", "shape", box=None, pad_edge=False)
    table.add_column("entries", justify="right")
    table.add_column("size", justify="right")
    table.add_column("last used")
    for group in found:
        table.add_row(
            group.origin,
            group.precision,
            "×".join(map(str, group.frame_shape)),
            f"{group.num_entries:,}",
            decimal(group.num_bytes),
            f"{_moment(group.last_use):%Y-%m-%d %H:%M}",
        )
    output.print(table)


def size(cache: CacheOption = None) -> None:
    """Say how much room the cache takes, all in all and by backbone and precision."""
    from rich.filesize import decimal
    from rich.table import Table

    from filmstrip.app.cli.console import messages, output
    from filmstrip.cache import Cache
    from filmstrip.features.upkeep import groups, leftovers

    store = _store(cache)
    beside = Cache.at(cache).beside_features()
    kinds: dict[tuple[str, str], tuple[int, int]] = {}
    for group in groups(store):
        num_entries, num_bytes = kinds.get((group.origin, group.precision), (0, 0))
        kinds[group.origin, group.precision] = (
            num_entries + group.num_entries,
            num_bytes + group.num_bytes,
        )
    table = Table("from", "precision", box=None, pad_edge=False)
    table.add_column("entries", justify="right")
    table.add_column("size", justify="right")
    for (origin, precision), (num_entries, num_bytes) in kinds.items():
        table.add_row(origin, precision, f"{num_entries:,}", decimal(num_bytes))
    table.add_row(
        "all",
        "",
        f"{sum(num_entries for num_entries, _ in kinds.values()):,}",
        decimal(sum(num_bytes for _, num_bytes in kinds.values())),
    )
    output.print(table)
    if beside:
        messages.print(
            f"Beside them {_files(beside)} of what is known of engines and videos: `filmstrip "
            "cache prune --all` removes these, too.",
            soft_wrap=True,
        )
    left = leftovers(store)
    if left:
        messages.print(
            f"{len(left)} half-written files of killed processes beside them: `filmstrip cache "
            "prune` removes these.",
            soft_wrap=True,
        )


def verify(
    cache: CacheOption = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove what is damaged, to be computed again.")
    ] = False,
) -> None:
    """Read all that is kept, compare checksums, and name what is damaged.

    Ends with exit code 1 if something damaged was found and left.
    """
    from filmstrip.app.cli.console import ConsoleReporter, messages, output
    from filmstrip.features.upkeep import faults, remove, stored_files

    store = _store(cache)
    files = stored_files(store)
    damaged: list[tuple[StoredFile, str]] = []
    with ConsoleReporter().phase("Verifying", len(files)) as advance:
        for file, fault in zip(files, faults(store, files), strict=True):
            damaged += [(file, fault)] if fault else []
            advance(f"{len(damaged)} damaged")
    for _, fault in damaged:
        output.print(fault, soft_wrap=True)
    removed = remove(store, [file for file, _ in damaged]) if delete else []
    if removed:
        messages.print(f"Removed {_amount(removed)}; they are computed again when needed.")
    if len(removed) < len(damaged):
        messages.print(
            f"{len(damaged) - len(removed)} of {len(files)} entries are damaged. Next: `filmstrip "
            "cache verify --delete` removes them; they are computed again when needed.",
            soft_wrap=True,
        )
        raise typer.Exit(1)


def _bytes_of(text: str) -> int:
    """``20GB``, ``1.5 TiB`` or ``500M`` in bytes; a bare number is refused, since it is a slip."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(I?)B?|B)", text.strip().upper())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size with its unit, such as 20GB or 500MiB.")
    number, prefix, binary = match.groups()
    units = BINARY_UNITS if binary else UNITS
    return int(float(number) * units[prefix or "B"])


def prune(
    cache: CacheOption = None,
    older_than_days: Annotated[
        float | None,
        typer.Option("--older-than", metavar="DAYS", min=0, help="What was not used for so long."),
    ] = None,
    target_bytes: Annotated[
        int | None,
        typer.Option(
            "--to",
            metavar="SIZE",
            parser=_bytes_of,
            help="The least recently used, until no more than this is left, such as 20GB.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="All, even what is in use or known of engines and videos. It is computed again.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed.")] = False,
) -> None:
    """Remove what is not needed, and what killed processes left.

    What was used within the last two hours stays but for --all: a training may be reading it.
    """
    import time

    from filmstrip.app.cli.console import messages
    from filmstrip.cache import Cache
    from filmstrip.features.upkeep import choose, remove, stored_files, sweep, total_bytes

    if everything == (older_than_days is not None or target_bytes is not None):
        raise typer.BadParameter(
            "say what is to go: --older-than DAYS, --to SIZE or both, or --all alone."
        )
    store = _store(cache)
    files = stored_files(store)
    older_than_seconds = None if older_than_days is None else older_than_days * SECONDS_PER_DAY
    chosen = files if everything else choose(files, time.time(), older_than_seconds, target_bytes)
    beside = Cache.at(cache).beside_features() if everything else {}
    if dry_run:
        removed, verb = chosen, "Would remove"
    else:
        removed, verb = remove(store, chosen), "Removed"
        sweep(store)
        Cache.at(cache).remove(beside)
    left_bytes = total_bytes(files) - total_bytes(removed)
    left = _amount_of(len(files) - len(removed), left_bytes)
    and_files = f", and {_files(beside)} beside them" if beside else ""
    messages.print(f"{verb} {_amount(removed)}{and_files}; left: {left}.", soft_wrap=True)
    if target_bytes is not None and left_bytes > target_bytes:
        messages.print("What is left was used within the last two hours; --all removes it too.")


def _store(cache: Path | None) -> FeatureStore:
    from filmstrip.cache import Cache
    from filmstrip.features.store import FeatureStore

    return FeatureStore(Cache.at(cache).features)


def _files(sizes: dict[Path, int]) -> str:
    from rich.filesize import decimal

    noun = "file" if len(sizes) == 1 else "files"
    return f"{len(sizes):,} {noun} ({decimal(sum(sizes.values()))})"


def _amount(files: list[StoredFile]) -> str:
    from filmstrip.features.upkeep import total_bytes

    return _amount_of(len(files), total_bytes(files))


def _amount_of(num_entries: int, num_bytes: int) -> str:
    from rich.filesize import decimal

    return f"{num_entries:,} {'entry' if num_entries == 1 else 'entries'}, {decimal(num_bytes)}"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()
