"""The doctor's findings as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from html import escape
from itertools import groupby
from pathlib import Path

from filmstrip.app.doctor.checkup import Checkup
from filmstrip.dataset.doctor.findings import KINDS, Finding, Severity
from filmstrip.evaluation.leaks import Leak
from filmstrip.storage import replacing

# A page of ten thousand pictures opens in no browser; the JSON has them all.
_MOST_FINDINGS_A_KIND = 100
_MOST_FILES_A_FINDING = 12

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d8d8d4, #3a3a3a);
  --soft: light-dark(#5c5c58, #a8a8a4); --card: light-dark(#fff, #1f1f1f);
  --error: light-dark(#b3261e, #f2857c); --warning: light-dark(#8a5a00, #e8b04a);
  --note: light-dark(#2b5f8a, #82b4dc); }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 0 auto; max-width: 62rem;
  padding: 2rem 1rem 4rem; background: light-dark(#f7f7f5, #161616); }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
h2 small { font-weight: normal; color: var(--soft); }
p { margin: .3rem 0; }
.soft { color: var(--soft); }
.path, code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .85em;
  overflow-wrap: anywhere; }
.tally { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; margin: 1rem 0; }
.tally b { font-size: 1.3rem; display: block; }
.error { color: var(--error); } .warning { color: var(--warning); } .note { color: var(--note); }
table { border-collapse: collapse; width: 100%; }
td { padding: .15rem .6rem .15rem 0; } td.number { text-align: right; width: 4rem; }
.bar { background: var(--note); height: .7rem; border-radius: 2px; min-width: 1px; }
.finding { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  margin: .6rem 0; padding: .7rem .9rem; }
.single { display: grid; grid-template-columns: minmax(8rem, 15rem) 1fr; gap: 1rem; }
.single .files { display: block; margin: 0; }
.files { display: flex; flex-wrap: wrap; gap: .6rem 1rem; margin-top: .5rem; }
figure { margin: 0; flex: 0 1 17.5rem; }
figure img { width: 100%; max-height: 6rem; object-fit: contain; object-position: left;
  border-radius: 3px; display: block; }
figcaption { line-height: 1.3; margin-top: .2rem; }
details summary { cursor: pointer; }
"""


def write_page(checkup: Checkup, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    title = f"Doctor: {checkup.index.root.name}"
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{_head(checkup)}\n{_classes(checkup)}\n{_sections(checkup)}\n</body>\n</html>\n"
    )
    with replacing(path) as temporary:
        # File names need not be text.
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _head(checkup: Checkup) -> str:
    index = checkup.index
    hours = sum(facts.duration_seconds for facts in checkup.facts.values()) / 3600
    counts = "".join(
        f'<div class="{severity}"><b>{checkup.count(severity)}</b>'
        f"{severity}{'' if checkup.count(severity) == 1 else 's'}</div>"
        for severity in Severity
    )
    return (
        f"<h1>{escape(index.root.name)}</h1>\n"
        f'<p class="path soft">{escape(str(index.root))}</p>\n'
        f'<div class="tally"><div><b>{len(index)}</b>clips</div>'
        f"<div><b>{len(index.class_names)}</b>classes</div>"
        f"<div><b>{_spoken_hours(hours)}</b>of video</div>{counts}</div>\n"
        f'<p class="soft">{escape(index.grouping)}.</p>\n'
        f"<p>{escape(_leak_sentence('Size, duration and codec', checkup.metadata))}</p>\n"
        f"<p>{escape(_leak_sentence('The still border of the picture', checkup.border))}</p>"
    )


def _spoken_hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def _leak_sentence(what: str, leak: Leak | None) -> str:
    if leak is None:
        return f"{what}: too little differs, or too few clips, to tell classes by."
    verdict = "tell classes apart, see below" if leak.is_clear else "no leak"
    return (
        f"{what}: {verdict}. Accuracy {leak.accuracy:.2f} over {leak.num_folds} folds of "
        f"{leak.num_clips} clips, where the commonest class gives {leak.chance:.2f}."
    )


def _classes(checkup: Checkup) -> str:
    counts = Counter(row.label for row in checkup.index.rows)
    most = max(counts.values())
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{counts[name]}</td>'
        f'<td style="width:60%"><div class="bar" style="width:{100 * counts[name] / most:.1f}%">'
        "</div></td></tr>"
        for name in checkup.index.class_names
    )
    is_open = " open" if len(counts) <= 20 else ""
    return (
        f"<h2>Classes</h2>\n<details{is_open}><summary>Clips of each</summary>"
        f"<table>{rows}</table></details>"
    )


def _sections(checkup: Checkup) -> str:
    if not checkup.findings:
        return "<h2>Sound</h2>\n<p>Every file was decoded whole, and nothing is wrong.</p>"
    sections = []
    for (severity, kind), group in groupby(
        checkup.findings, key=lambda finding: (finding.severity, finding.kind)
    ):
        findings = list(group)
        shown = "\n".join(_card(finding, checkup) for finding in findings[:_MOST_FINDINGS_A_KIND])
        more = len(findings) - _MOST_FINDINGS_A_KIND
        rest = f'<p class="soft">And {more} more: see --json.</p>' if more > 0 else ""
        sections.append(
            f'<h2><span class="{severity}">{escape(KINDS[kind])}</span> '
            f"<small>{severity}, {len(findings)}</small></h2>\n{shown}\n{rest}"
        )
    return "\n".join(sections)


def _card(finding: Finding, checkup: Checkup) -> str:
    files = "".join(_file(path, checkup) for path in finding.paths[:_MOST_FILES_A_FINDING])
    more = len(finding.paths) - _MOST_FILES_A_FINDING
    rest = f'<p class="soft">And {more} files more.</p>' if more > 0 else ""
    shown = f'<div class="files">{files}</div>{rest}' if files else ""
    words = (
        f"<div><p>{escape(_sentence(finding.cause))}</p>"
        f'<p class="soft">Next: {escape(finding.remedy)}.</p></div>'
    )
    if len(finding.paths) == 1:
        return f'<div class="finding single">{shown}{words}</div>'
    return f'<div class="finding">{words}{shown}</div>'


def _file(path: Path, checkup: Checkup) -> str:
    root, facts = checkup.index.root, checkup.facts.get(path)
    name = path.relative_to(root) if path.is_relative_to(root) else path
    if facts is not None and facts.preview:
        picture = f'<img alt="" src="data:image/jpeg;base64,{b64encode(facts.preview).decode()}">'
        words = (
            f"{facts.width}×{facts.height}, {facts.duration_seconds:.2f} s, "
            f"{facts.average_fps:.4g} fps, {facts.codec}"
        )
    else:
        picture, words = "", "no picture"
    return (
        f'<figure>{picture}<figcaption><span class="path">{escape(str(name))}</span><br>'
        f'<span class="soft">{escape(words)}</span></figcaption></figure>'
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
