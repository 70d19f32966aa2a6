"""What a report says of leaks: clips that belong together and stand on two sides of the split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from filmstrip.app.report.record import Record
from filmstrip.dataset.leaks import counted, leak_warning
from filmstrip.dataset.relations import CHECKS, KINDS

MOST_PAIRS = 100


@dataclass(frozen=True, slots=True)
class LeakAccount:
    """What is known of leaks.

    Attributes:
        banner: what must stand above everything; empty where no leak is known.
        sentences: what was looked for and found.
        pairs: the first pairs (clip, its side, clip, its side, what they share).
        num_more: how many pairs are not shown.
    """

    banner: str
    sentences: list[str]
    pairs: list[tuple[str, str, str, str, str]]
    num_more: int


def make_leak_account(record: Record) -> LeakAccount:
    """The account of a run, from the key ``leaks`` of ``metrics.json``."""
    leaks: dict[str, Any] | None = record.metrics.get("leaks")
    if leaks is None:
        told = (
            "Whether copies or pieces of one recording stand on two sides of the split was not "
            "checked: the run is from before that was looked for. Train again to know, or see "
            "'filmstrip doctor'."
        )
        return LeakAccount("", [told], [], 0)
    num_pairs = leaks["num_pairs"]
    pairs = [
        (
            pair["first"],
            pair["first_split"],
            pair["second"],
            pair["second_split"],
            KINDS[pair["kind"]],
        )
        for pair in leaks["pairs"][:MOST_PAIRS]
    ]
    banner = leak_warning(record.metrics)
    return LeakAccount(banner, _sentences(leaks, num_pairs), pairs, num_pairs - len(pairs))


def _sentences(leaks: dict[str, Any], num_pairs: int) -> list[str]:
    looked_for = [CHECKS[name] for name in leaks["checked"]]
    not_looked_for = [words for name, words in CHECKS.items() if name not in leaks["checked"]]
    sentences = []
    if looked_for:
        found = f"{counted(num_pairs)} found" if num_pairs else "none found"
        sentences.append(f"Looked for on two sides of the split: {', '.join(looked_for)}; {found}.")
    if not_looked_for:
        sentences.append(f"Not looked for: {', '.join(not_looked_for)}.")
    if num_pairs and leaks["allowed"]:
        sentences.append("The run was told to go on in spite of them.")
    return sentences
