"""Text that leaves the program for terminals, subtitles, pages and pictures.

Labels and file names come from other people. A control character in one can move the cursor, set
the title of the window or start a new cue in a subtitle file, and a bidirectional override shows
the name in another order. ``printable`` makes these visible. JSON and CSV keep names as they are:
their own quoting is safe, and programs need the exact name. ``to_json`` writes all JSON for others.
"""

from __future__ import annotations

import json
import math
import unicodedata

# Control characters, lone surrogates (bytes that are not UTF-8), line and paragraph separators.
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Other invisible characters are escaped too; these two shape Persian, Indic scripts and emoji.
_JOINERS = "\u200c\u200d"


def printable(text: str, *, keep_newlines: bool = False) -> str:
    r"""Return ``text`` with control and invisible characters as escapes such as ``\x1b``.

    Letters of every script, symbols and emoji stay as they are.

    Args:
        text: a label, a file name, or a message that contains one.
        keep_newlines: keep ``\n``, for text of several lines that the program itself composed.

    Returns:
        Text on one line, or on as many as it had with ``keep_newlines``.

    Example:
        >>> printable("caf\u00e9 \x1b[2J\n")
        'café \\x1b[2J\\n'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or (keep_newlines and char == "\n") else _escaped(char)
        for char in text
    )


def _escaped(char: str) -> str:
    category = unicodedata.category(char)
    is_format = category == "Cf" and char not in _JOINERS
    if is_format or category in _ESCAPED_CATEGORIES:
        return char.encode("unicode_escape").decode()
    return char


def to_json(content: object, indent: int | None = None) -> str:
    """Return ``content`` as JSON that every parser reads.

    JSON has no NaN and no infinity. Where such a number stands for an unknown one, as the duration
    of a packed clip does, it becomes ``null``; predictions are checked long before they come here.

    Args:
        content: dictionaries, lists, text, numbers, booleans and None.
        indent: spaces for each level; one line if not given.
    """
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: object) -> object:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content
