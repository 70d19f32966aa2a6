"""Which clips come from one recording, read from their names.

Clips that were cut from one recording, or show one person, look alike: when some are learnt from
and others tested on, accuracy reads too high. They form a group, and a group stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from filmstrip.errors import DatasetError

# Below this share of matching names a pattern is not taken; the few others stand alone.
_MIN_MATCHING = 0.95

_WORD = r"(?<![A-Za-z])({})[_\- ]?(\d+)"
# Tried in this order: official namings first, then people before sequences before recordings,
# because the widest thing that clips share is the safest group.
_KNOWN = {
    "gNN, as in UCF101,": r"_(g\d{2,3})_c\d",
    "the film's title, as in HMDB51,": (
        r"(?:^|/)([^/]+)_[fhlu]_(?:cm|nm)_np\d_(?:ba|fr|le|ri)_(?:bad|med|goo)_\d+\."
    ),
    "PNNN, as in NTU RGB+D,": r"S\d{3}C\d{3}(P\d{3})R\d{3}A\d{3}",
    "the YouTube number, as in Kinetics,": r"(?:^|/)([\w-]{11})_\d{6}_\d{6}\.",
    **{
        f"'{words[0]}NN'": f"(?i:{_WORD.format('|'.join(words))})"
        for words in (
            ("person",),
            ("subject", "subj"),
            ("actor",),
            ("participant",),
            ("signer",),
            ("speaker",),
            ("seq", "sequence"),
            ("scene",),
            ("recording",),
            ("session",),
            ("video", "vid"),
        )
    },
}


def infer_groups(
    names: Sequence[str], pattern: str | None = None, shown: Sequence[str] | None = None
) -> tuple[list[str], str]:
    """The group of each clip, empty if it stands alone, and a sentence on where they come from.

    A known pattern counts when it is found in at least 95 % of the names and gives two or more
    groups; a clip without it stands alone. Where none counts, every clip stands alone.

    Args:
        names: the clips' names.
        pattern: a regular expression to be found in every name instead. The group is the text of
            its first parenthesis, or the whole match if it has none.
        shown: what the clips are called in the sentence, if not by ``names``.

    Raises:
        DatasetError: the pattern is no regular expression, or some names do not match it.
    """
    if pattern is not None:
        return _by_own_pattern(names, pattern)
    for what, known in _KNOWN.items():
        matches = [re.search(known, name) for name in names]
        groups = ["".join(match.groups()) if match else "" for match in matches]
        num_alone = groups.count("")
        num_shared = len(set(groups) - {""})
        if num_alone > len(names) * (1 - _MIN_MATCHING) or num_shared < 2:
            continue
        sentence = (
            f"{len(names)} clips in {num_shared + num_alone} groups, by {what} in the name "
            f"({_example(shown or names, groups)})"
        )
        if num_alone:
            sentence += f"; {num_alone} without it, each its own group"
        return groups, sentence
    return [""] * len(names), (
        f"{len(names)} clips, each its own group: no known pattern in the names says which were "
        "cut from one recording; if some were, name it with --group-pattern"
    )


def _by_own_pattern(names: Sequence[str], pattern: str) -> tuple[list[str], str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DatasetError(
            f"--group-pattern {pattern!r}: {error}",
            r"a regular expression such as 'seq(\d+)'",
            "correct it.",
        ) from error
    matches = [compiled.search(name) for name in names]
    unmatched = [name for name, match in zip(names, matches, strict=True) if match is None]
    if unmatched:
        raise DatasetError(
            f"--group-pattern {pattern!r}: not found in {len(unmatched)} of {len(names)} names, "
            f"such as {', '.join(unmatched[:3])}",
            "a regular expression that is found in every name",
            "widen the pattern; 'a|b' finds either of two.",
        )
    place = 1 if compiled.groups else 0
    groups = [match[place] or "" for match in matches if match]
    num_groups = len(set(groups) - {""}) + groups.count("")
    return groups, (
        f"{len(names)} clips in {num_groups} groups, by the pattern {pattern!r} "
        f"({_example(names, groups)})"
    )


def _example(names: Sequence[str], groups: Sequence[str]) -> str:
    """The first name that has a group, and that group."""
    shown = next(((name, group) for name, group in zip(names, groups, strict=True) if group), None)
    return f"{shown[0]} is of {shown[1]}" if shown else "which finds nothing but empty text"
