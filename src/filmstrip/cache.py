"""Where lies what need not be computed twice, and under which names."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from filmstrip.errors import StorageError
from filmstrip.storage import replacing, writing

_BESIDE_FEATURES = re.compile(
    r"engines/([0-9a-f]{32}\.(json|onnx)|int8-[0-9a-f]{32})"
    r"|(doctor|fingerprints)-\d+/[0-9a-f]{2}/[0-9a-f]{32,}\.json"
)
"""Below the cache: trials, graphs and calibrated copies, and what is known of videos."""


def default_cache() -> Path:
    """Return ``$FILMSTRIP_CACHE``, or ``~/.cache/filmstrip``."""
    named = os.environ.get("FILMSTRIP_CACHE")
    if named:
        return Path(named)
    try:
        return Path.home() / ".cache" / "filmstrip"
    except RuntimeError:  # a container's user without a home: a folder that nobody can make
        return Path(os.devnull) / "filmstrip"


_folders_warned_of: set[Path] = set()


def keep(path: Path, content: bytes, folder: Path, warn: Callable[[str], None]) -> None:
    """Write a file that only saves time later; if it cannot be written, warn and go on.

    Args:
        path: the file, written completely or not at all.
        content: its bytes.
        folder: the cache folder that holds it. There is one warning per folder and process.
        warn: receives the warning.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except (StorageError, OSError) as error:
        if folder in _folders_warned_of:
            return
        _folders_warned_of.add(folder)
        reason = error.given if isinstance(error, StorageError) else f"{path}: {error}"
        warn(
            f"WARNING: {reason}. The results are not affected, but what is computed now is not "
            "kept for the next time. Free some space, or set FILMSTRIP_CACHE to a folder that can "
            "be written."
        )


@contextmanager
def needing_cache(path: Path) -> Iterator[None]:
    """As ``writing``, for work that cannot go on without the cache; names FILMSTRIP_CACHE.

    Raises:
        StorageError: the cache cannot be written.
    """
    try:
        with writing(path):
            yield
    except StorageError as error:
        raise StorageError(
            error.given,
            "a cache folder that this user may write to, with room for the features",
            "free some space or change its permissions, or set FILMSTRIP_CACHE to another folder; "
            "then run the same command again (a training with --resume): what is finished is kept.",
        ) from error


@dataclass(frozen=True, slots=True)
class Cache:
    """The paths in a cache folder.

    Attributes:
        folder: the cache; made when the first file is written.
    """

    folder: Path

    @classmethod
    def at(cls, folder: Path | None) -> Cache:
        """The cache in ``folder``, or the user's own."""
        return cls(folder or default_cache())

    @property
    def features(self) -> Path:
        """The folder of the feature store."""
        return self.folder / "features"

    @property
    def engines(self) -> Path:
        """The folder of what was measured of engines, and of calibrated copies of networks."""
        return self.folder / "engines"

    def beside_features(self) -> dict[Path, int]:
        """What is kept of engines and videos: files and calibrated copies, with their bytes.

        Only names that Filmstrip gives count: nothing else in the folder is ours to remove.
        """
        sizes = {}
        for path in [*self.engines.glob("*"), *self.folder.glob("*/??/*.json")]:
            if _BESIDE_FEATURES.fullmatch(path.relative_to(self.folder).as_posix()):
                with suppress(FileNotFoundError):  # removed since it was listed
                    files = path.iterdir() if path.is_dir() else [path]
                    sizes[path] = sum(file.stat().st_size for file in files)
        return sizes

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove what ``beside_features`` listed.

        Raises:
            StorageError: the cache cannot be written.
        """
        for path in paths:
            with writing(path), suppress(FileNotFoundError):
                if path.is_dir():
                    # At once: what is left of a copy would be taken for a whole one.
                    going = path.rename(path.with_name(f".{uuid4().hex}.part"))
                    shutil.rmtree(going)
                else:
                    path.unlink()

    def facts(self, kind: str, content_hash: str) -> Path:
        """The file of what is known of a video.

        Args:
            kind: what is known, with the version of its format.
            content_hash: of the video's bytes.
        """
        return self.folder / kind / content_hash[:2] / f"{content_hash}.json"
