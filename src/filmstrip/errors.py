"""The exceptions that Filmstrip raises for what a person can mend.

    FilmstripError
    ├── VideoError          a file, stream or camera that cannot be read or written
    │   ├── NoVideoError        … has no picture: missing, empty, sound only, zero frames
    │   ├── DamagedVideoError   … starts well and breaks: corrupt or truncated
    │   └── ResourceError       … could not be read now: no memory, or its disk fails
    ├── DatasetError        a folder, list or split that cannot be learnt from
    ├── RecipeError         an unknown recipe, backbone, head or override
    ├── WeightsError        weights that do not fit, or cannot be reached
    ├── EngineError         a way to run a backbone that this machine does not have
    ├── RunError            a run folder that is missing, unfinished or in use
    └── StorageError        a disk that is full or cannot be written

Each carries three parts: what was given, what was expected, what to do next.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Mapping, Sequence

from filmstrip.text import printable

_MOST_SUGGESTIONS = 4


class FilmstripError(Exception):
    """A mistake or mishap that a person can mend, told in three parts.

    Args:
        given: what Filmstrip was given, with the name of the file or setting.
        expected: what it needs instead.
        remedy: what to do next.
    """

    def __init__(self, given: str, expected: str, remedy: str) -> None:
        super().__init__(given, expected, remedy)
        self.given = given
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        given, expected, remedy = map(printable, (self.given, self.expected, self.remedy))
        return f"{given}\n  expected: {expected}\n  next: {remedy}"


class VideoError(FilmstripError):
    """A file, stream or camera that cannot be read or written."""


class NoVideoError(VideoError):
    """No picture at all: the file is missing, empty, sound only, or has zero frames."""


class DamagedVideoError(VideoError):
    """The picture starts well and breaks: the file is corrupt or truncated.

    Args:
        given: see ``FilmstripError``.
        expected: likewise.
        remedy: likewise.
        usable_seconds: how much of the video comes before the fault.
        num_usable_frames: how many frames that is.
    """

    def __init__(
        self,
        given: str,
        expected: str,
        remedy: str,
        usable_seconds: float = 0.0,
        num_usable_frames: int = 0,
    ) -> None:
        super().__init__(given, expected, remedy)
        self.usable_seconds = usable_seconds
        self.num_usable_frames = num_usable_frames


class ResourceError(VideoError):
    """The machine could not read the video now; the file itself may be sound.

    Memory was lacking, the disk or the network share failed, or this user may not read the file.
    It is never kept as a fact of the file.
    """


class DatasetError(FilmstripError):
    """A folder, list or split that cannot be learnt from."""


class RecipeError(FilmstripError):
    """An unknown recipe, backbone, head or override."""


class WeightsError(FilmstripError):
    """Weights that do not fit the network, or cannot be reached."""


class EngineError(FilmstripError):
    """A way to run a backbone that this machine, or this network, does not allow."""


class RunError(FilmstripError):
    """A run folder that is missing, unfinished or in use."""


class StorageError(FilmstripError):
    """A disk that is full or cannot be written."""


_NO_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "failed to map segment",  # of a shared library
)


def out_of_memory(name: object) -> ResourceError:
    """Return the error for a video that could not be read for lack of memory.

    Args:
        name: the path of the video.
    """
    return ResourceError(
        f"{name}: could not be read now, not enough memory",
        "memory for a few decoded frames of the video, and for those that are sampled",
        "end other programs, raise the limit on memory ('ulimit -v', or that of the container), or "
        "use fewer workers; then try again. If this file alone fails, its header may be damaged.",
    )


def lacks_memory(error: BaseException) -> bool:
    """Return whether ``error`` says that memory could not be allocated.

    PyTorch, ONNX Runtime and OpenVINO raise RuntimeErrors for it, told apart only by their text.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, FilmstripError):
        return False
    text = str(error).lower()
    return any(words in text for words in _NO_MEMORY)


def nearest(name: str, known: Iterable[str], short_forms: Mapping[str, str] | None = None) -> str:
    """Return a hint for an unknown name: ``Did you mean 'x'?``, or the list of the known ones.

    Names that begin with what was typed come before names that contain it, and these before names
    that are spelled alike. Case and ``-``, ``_`` or space between words make no difference.

    Args:
        name: what was typed.
        known: the names that there are; of equally near ones the first are suggested.
        short_forms: other words for the last part of a dotted name: ``{"lr": "learning_rate"}``.
    """
    names = list(dict.fromkeys(known))
    close = _closest(name, names, short_forms or {})[:_MOST_SUGGESTIONS]
    if close:
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    listed = ", ".join(sorted(names)[:20])
    return f"Known: {listed}{', …' if len(names) > 20 else ''}."


def _closest(name: str, names: Sequence[str], short_forms: Mapping[str, str]) -> list[str]:
    """The names of the first rule that finds any."""
    typed = _plain(name)
    if not typed:
        return []
    section, _, last = name.lower().rpartition(".")
    plain = {known: _plain(known) for known in names}
    meant = {known for known in names if known.rpartition(".")[2] == short_forms.get(last, last)}
    in_section = [known for known in names if known in meant and known.startswith(f"{section}.")]
    rules = (
        [known for known in names if plain[known] == typed],
        in_section if section else [],
        [known for known in names if known in meant],
        [known for known in names if plain[known].startswith(typed)],
        [known for known in names if typed in plain[known]],
        sorted((known for known in names if _begins_with(typed, plain[known])), key=len)[::-1],
    )
    found = next((rule for rule in rules if rule), None)
    return found or difflib.get_close_matches(name, names, n=_MOST_SUGGESTIONS, cutoff=0.5)


def _begins_with(typed: str, known: str) -> bool:
    """Whether more was typed than a known name of some length, such as ``resnet50_imagenet``."""
    return len(known) > 3 and typed.startswith(known) and not typed[len(known) :].startswith(".")


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char not in "-_ ")
