"""What an index is made of: a row for each clip, and a note for each file left out."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SPLITS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "tst", "holdout", "heldout"),
}
_SPLIT_OF_WORD = {word: split for split, words in _SPLITS.items() for word in words}
# What people add to the name of a split: training_set, test-videos, ValData, train_clips_01.
_FILLER = "(?:sub)?sets?|data(?:sets?)?|splits?|parts?|videos?|clips?|files?|folders?|samples?"
_SPLIT_NAME = re.compile(
    f"(?:{_FILLER})*({'|'.join(sorted(_SPLIT_OF_WORD, key=len, reverse=True))})(?:{_FILLER})*"
)

NOT_A_VIDEO = "not videos"
"""The kind of a skipped file whose suffix is not one of a video."""

LINK_TO_ABOVE = "link to a folder above"
"""The kind of a link that is not followed, since it repeats what is being read."""

UNREADABLE = "unreadable"
"""The kind of a skipped file that could not be decoded."""

MISSING = "not there"
"""The kind of a skipped file that a table or list names and that is not there."""

_MOST_SUFFIXES = 5


@dataclass(frozen=True, slots=True)
class VideoRow:
    """One labelled clip: a video file, or one clip inside a packed array file.

    Label and group are kept in Unicode's composed form (NFC), so that a name is one name whether
    macOS, which decomposes names, or another system wrote it.

    Attributes:
        path: the video file, or the packed file.
        label: the name of its class.
        group: clips of one group come from one recording and stay on one side of a split;
            empty where the clip stands alone.
        split: "train", "val", "test", or empty where it is not decided yet.
        packed_index: the clip's place in the packed file; None for a video file.
        source: the address that ``path`` is a temporary copy of; empty for other files.
    """

    path: Path
    label: str
    group: str = ""
    split: str = ""
    packed_index: int | None = None
    source: str = ""

    def __post_init__(self) -> None:
        """Compose label and group."""
        object.__setattr__(self, "label", composed(self.label))
        object.__setattr__(self, "group", composed(self.group))

    def name(self, root: Path) -> str:
        """What names the clip in tables: its path below ``root``, with ``#index`` if packed."""
        if self.source:
            return self.source
        try:
            text = self.path.relative_to(root).as_posix()
        except ValueError:
            text = self.path.as_posix()
        return text if self.packed_index is None else f"{text}#{self.packed_index}"


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that was left out, and why, with what to do about it.

    Attributes:
        path: the file, or the folder, table or list that the reason is about.
        reason: why, and what to do about it.
        label: the class that it would have belonged to; empty where that is not known.
        kind: the reason in a few words, the same for all files that share it.
        source: the address that ``path`` is a temporary copy of; empty for other files.
    """

    path: Path
    reason: str
    label: str = ""
    kind: str = "other reasons"
    source: str = ""

    @property
    def is_loss(self) -> bool:
        """Whether a clip may be lost: not for files of other kinds and repeated folders."""
        return self.kind not in (NOT_A_VIDEO, LINK_TO_ABOVE)


def not_a_video(path: Path) -> SkippedFile:
    """Return the note on a file in a folder whose suffix is not one of a video."""
    reason = f"{path.suffix or 'no suffix'} is not a video's suffix"
    return SkippedFile(path, reason, kind=NOT_A_VIDEO)


def left_out_summary(skipped: Iterable[SkippedFile]) -> str:
    """Return how many files of each suffix were left out, by reason; "" if there are none.

    >>> notes = [SkippedFile(Path(f"{i}.txt"), "", kind=NOT_A_VIDEO) for i in range(12)]
    >>> left_out_summary([*notes, SkippedFile(Path("a.mp4"), "", kind="unreadable")])
    'Left out: 12 .txt (not videos); 1 .mp4 (unreadable).'
    """
    by_kind: dict[str, Counter[str]] = {}
    for file in skipped:
        suffix = file.path.suffix.lower() or "without suffix"
        suffix = "folder" if _is_folder(file.path) else suffix
        by_kind.setdefault(file.kind, Counter())[suffix] += 1
    parts = []
    for kind, counts in by_kind.items():
        named = [f"{count} {suffix}" for suffix, count in counts.most_common(_MOST_SUFFIXES)]
        if others := len(counts) - len(named):
            rest = counts.total() - sum(count for _, count in counts.most_common(_MOST_SUFFIXES))
            named.append(f"{rest} of {others} other suffixes")
        parts.append(f"{', '.join(named)} ({kind})")
    return f"Left out: {'; '.join(parts)}." if parts else ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one way of listing clips (a folder, a CSV, official lists, a packed file) has found.

    Attributes:
        rows: the clips, in any order.
        skipped: what could not become a row.
        class_names: the order of the classes where the listing defines one; else empty.
        grouping: a sentence on where the groups come from where the listing gives them; else empty.
        reading: a sentence on what was taken for classes, splits and groups; else empty.
    """

    rows: list[VideoRow]
    skipped: list[SkippedFile]
    class_names: tuple[str, ...] = ()
    grouping: str = ""
    reading: str = ""


def split_name(text: str) -> str | None:
    """Return ``"train"``, ``"val"`` or ``"test"`` for its usual names in any case, else None.

    >>> [split_name(name) for name in ("Training_Set", "dev", "holdout2", "test-videos", "walk")]
    ['train', 'val', 'test', 'test', None]
    """
    match = _SPLIT_NAME.fullmatch(re.sub(r"[\W\d_]+", "", text.casefold()))
    return _SPLIT_OF_WORD[match[1]] if match else None


def composed(text: str) -> str:
    """Return a name in Unicode's composed form (NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def same_name(text: str) -> str:
    """Return a key that is equal for names that differ only in case or Unicode form."""
    return composed(composed(text).casefold())


def is_there(path: Path) -> bool:
    """Whether a list's entry is a file; a name that no file can have is simply not there."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a null character
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def natural_key(text: str) -> tuple[list[str | int], str]:
    """A sort key that puts ``class2`` before ``class10``."""
    parts = re.split(r"(\d+)", text.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], text
