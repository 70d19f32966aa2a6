"""The doctor's findings as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from filmstrip.app.doctor.checkup import Checkup
from filmstrip.app.pages.page import render, write_html
from filmstrip.dataset.doctor.findings import KINDS, Finding, Severity
from filmstrip.evaluation.leaks import Leak

# A page of ten thousand pictures opens in no browser; the JSON has them all.
_MOST_FINDINGS_A_KIND = 100
_MOST_FILES_A_FINDING = 12


@dataclass(frozen=True, slots=True)
class _File:
    """A file as the page shows it; ``preview`` is a JPEG, empty where there is no picture."""

    name: str
    words: str
    preview: bytes


@dataclass(frozen=True, slots=True)
class _Card:
    """A finding as the page shows it."""

    cause: str
    remedy: str
    files: list[_File]
    num_more_files: int


@dataclass(frozen=True, slots=True)
class _Section:
    """All findings of one kind."""

    title: str
    severity: str
    num_findings: int
    cards: list[_Card]
    num_more: int


def write_page(checkup: Checkup, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    index = checkup.index
    counts = Counter(row.label for row in index.rows)
    hours = sum(facts.duration_seconds for facts in checkup.facts.values()) / 3600
    text = render(
        "doctor.html",
        index=index,
        spoken_duration=f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min",
        severities=[(severity.value, checkup.count(severity)) for severity in Severity],
        leaks=[
            _leak_sentence("Size, duration and codec", checkup.metadata),
            _leak_sentence("The still border of the picture", checkup.border),
        ],
        classes=[(name, counts[name]) for name in index.class_names],
        most_clips=max(counts.values()),
        findings=_sections(checkup),
    )
    write_html(path, text)


def _leak_sentence(what: str, leak: Leak | None) -> str:
    if leak is None:
        return f"{what}: too little differs, or too few clips, to tell classes by."
    verdict = "tell classes apart, see below" if leak.is_clear else "no leak"
    return (
        f"{what}: {verdict}. Accuracy {leak.accuracy:.2f} over {leak.num_folds} folds of "
        f"{leak.num_clips} clips, where the commonest class gives {leak.chance:.2f}."
    )


def _sections(checkup: Checkup) -> list[_Section]:
    sections = []
    for (severity, kind), group in groupby(
        checkup.findings, key=lambda finding: (finding.severity, finding.kind)
    ):
        findings = list(group)
        cards = [_card(finding, checkup) for finding in findings[:_MOST_FINDINGS_A_KIND]]
        num_more = len(findings) - len(cards)
        sections.append(_Section(KINDS[kind], severity.value, len(findings), cards, num_more))
    return sections


def _card(finding: Finding, checkup: Checkup) -> _Card:
    files = [_file(path, checkup) for path in finding.paths[:_MOST_FILES_A_FINDING]]
    num_more = len(finding.paths) - len(files)
    return _Card(_sentence(finding.cause), f"{finding.remedy}.", files, num_more)


def _file(path: Path, checkup: Checkup) -> _File:
    root, facts = checkup.index.root, checkup.facts.get(path)
    name = str(path.relative_to(root) if path.is_relative_to(root) else path)
    if facts is None or not facts.preview:
        return _File(name, "no picture", b"")
    words = (
        f"{facts.width}×{facts.height}, {facts.duration_seconds:.2f} s, "
        f"{facts.average_fps:.4g} fps, {facts.codec}"
    )
    return _File(name, words, facts.preview)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
