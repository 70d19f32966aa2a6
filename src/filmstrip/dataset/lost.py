"""Classes that vanish: the data names them, and none of their clips can be used.

A classifier without them answers wrongly about their videos, so they are an error unless allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from filmstrip.dataset.rows import SkippedFile
from filmstrip.errors import DatasetError

if TYPE_CHECKING:
    from filmstrip.dataset.index import VideoIndex

_MOST_EXPLAINED = 3


def check_no_class_is_lost(index: VideoIndex, allowed: bool) -> None:
    """Refuse an index that lost a class, by name and with the reason.

    Raises:
        DatasetError: a class is lost, and that is not allowed.
    """
    lost = index.lost_classes
    if lost and not allowed:
        raise DatasetError(
            f"{index.root}: {describe_lost(lost)}",
            "clips of every class that the data names, two or more of each",
            "add or repair these clips; or give --allow-missing-classes to go on with the other "
            f"{len(index.class_names)} classes.",
        )


def describe_lost(lost: Mapping[str, Sequence[SkippedFile]]) -> str:
    """Return all lost classes by name, and how the first of them were lost."""
    counted = "1 class is" if len(lost) == 1 else f"{len(lost)} classes are"
    reasons = "; ".join(f"{name}: {_reason(files)}" for name, files in _first(lost))
    more = "; …" if len(lost) > _MOST_EXPLAINED else ""
    return f"{counted} lost: {', '.join(lost)} ({reasons}{more})"


def _first(lost: Mapping[str, Sequence[SkippedFile]]) -> list[tuple[str, Sequence[SkippedFile]]]:
    return list(lost.items())[:_MOST_EXPLAINED]


def _reason(files: Sequence[SkippedFile]) -> str:
    """How one class was lost; its files usually share the reason, so the first stands for all."""
    first = files[0]
    reason = first.reason.splitlines()[0].removesuffix(".")
    named = reason if first.path.name in reason else f"{first.path.name}, {reason}"
    return named if len(files) == 1 else f"{len(files)} files left out, such as {named}"
