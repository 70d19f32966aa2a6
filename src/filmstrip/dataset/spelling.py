"""One spelling for each class, and addresses that were given where paths are needed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from filmstrip.dataset.rows import Listing, same_name


def one_spelling(listing: Listing) -> Listing:
    """Return the listing with one spelling for class names that differ only in case.

    The spelling that the listing defines is used, else that of most clips. Names of one character
    stay apart: letters of a sign alphabet may be classes of their own. So do names that the
    listing defines apart. What was joined is added to the reading.
    """
    counts = Counter(row.label for row in listing.rows)
    spellings: dict[str, list[str]] = {}
    for label, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(label) > 1 and label not in listing.class_names:
            spellings.setdefault(same_name(label), []).append(label)
    for name in listing.class_names:
        spellings.get(same_name(name), []).insert(0, name)
    chosen = {label: labels[0] for labels in spellings.values() for label in labels}
    if all(label == name for label, name in chosen.items()):
        return listing
    joined = [
        f"{' and '.join(labels)} are one class, {labels[0]}"
        for labels in spellings.values()
        if len(labels) > 1
    ]
    return replace(
        listing,
        rows=[replace(row, label=chosen.get(row.label, row.label)) for row in listing.rows],
        reading="; ".join(filter(None, [listing.reading, *joined])),
    )


def address_in(path: Path) -> str:
    """Return the address that ``path`` was made from (http:/host/a from http://host/a), or ""."""
    for depth, part in enumerate(path.parts):
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+:", part) and not path.exists():
            slashes = "///" if part.lower() == "file:" else "//"
            return f"{part}{slashes}{'/'.join(path.parts[depth + 1 :])}"
    return ""
