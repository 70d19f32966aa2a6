"""Where lies what need not be computed twice, and under which names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def default_cache() -> Path:
    """``$FILMSTRIP_CACHE``, or ``~/.cache/filmstrip``."""
    return Path(os.environ.get("FILMSTRIP_CACHE") or Path.home() / ".cache" / "filmstrip")


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

    def beside_features(self) -> Iterator[Path]:
        """All finished files but features: of engines and of what is known of videos."""
        for path in sorted(self.folder.glob("*/**/*")):
            is_half_written = path.name.startswith(".")
            if self.features not in path.parents and path.is_file() and not is_half_written:
                yield path

    def facts(self, kind: str, content_hash: str) -> Path:
        """The file of what is known of a video.

        Args:
            kind: what is known, with the version of its format.
            content_hash: of the video's bytes.
        """
        return self.folder / kind / content_hash[:2] / f"{content_hash}.json"
