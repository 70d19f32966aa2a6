"""The store: computed features by content, so that nothing is computed twice.

An entry's key is a hash of the video's bytes, of the backbone and its weights, of the sampling,
the framing and the view. A renamed or moved video is found; an edited one is not. Entries appear
whole or not at all, and several processes may share one store.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from filmstrip.storage import replacing

_FORMAT = "1"


def default_cache() -> Path:
    """``$FILMSTRIP_CACHE``, or ``~/.cache/filmstrip``."""
    return Path(os.environ.get("FILMSTRIP_CACHE") or Path.home() / ".cache" / "filmstrip")


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What is known of a clip besides its picture.

    Attributes:
        width: of the frames as shown, in pixels, before any resizing.
        height: likewise.
        duration_seconds: of the whole clip; NaN for a packed clip, which does not know.
        num_frames: of the whole clip.
    """

    width: int
    height: int
    duration_seconds: float
    num_frames: int


class FeatureStore:
    """A folder of entries, each a tensor and the facts of its clip.

    Args:
        folder: where entries live; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def key(self, *parts: str) -> str:
        """The key of an entry from the parts that decide its content."""
        return hashlib.blake2b("\0".join((_FORMAT, *parts)).encode(), digest_size=20).hexdigest()

    def facts(self, key: str) -> ClipFacts | None:
        """The facts of an entry, or None where there is no whole entry of this key."""
        try:
            with safe_open(self._path(key), framework="pt") as entry:
                return ClipFacts(**json.loads(entry.metadata()["facts"]))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None  # absent, or damaged by the disk: it is computed again

    def read(self, key: str, part: slice = slice(None)) -> Tensor:
        """The tensor of an entry: features (T, D) float32, or frames (T, H, W, 3) uint8.

        Args:
            key: of the entry.
            part: which frames to read from the disk; all of them if not given.
        """
        with safe_open(self._path(key), framework="pt") as entry:
            tensor: Tensor = entry.get_slice("clip")[part]
        return tensor

    def length(self, key: str) -> int:
        """The number of frames T of an entry."""
        with safe_open(self._path(key), framework="pt") as entry:
            return int(entry.get_slice("clip").get_shape()[0])

    def write(self, key: str, tensor: Tensor, facts: ClipFacts) -> None:
        """Add an entry; one that is there already is replaced.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        content = to_bytes({"clip": tensor.contiguous()}, {"facts": json.dumps(asdict(facts))})
        with replacing(self._path(key)) as temporary:
            temporary.write_bytes(content)

    def keys(self) -> Iterator[str]:
        """The keys of all entries."""
        for path in self.folder.glob("??/*.safetensors"):
            if not path.name.startswith("."):
                yield path.stem

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"
