"""An entry of the store as a file: a clip's tensor, its facts, and checksums of both.

The file is in the safetensors format, which other tools open. It is read here by plain reads: the
library maps files into memory, which is slower for so small ones, and a disk that then fails kills
the process instead of raising an error.

Each frame has a checksum of its own, so that a single frame can be read and checked. What a disk
or a power cut has damaged is found out when it is read, and never trained on.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as to_bytes
from torch import Tensor

from filmstrip.errors import StorageError
from filmstrip.storage import parse_json, replacing

FORMAT = "2"
"""Of the file; part of each key, so that another version finds no entry it cannot read."""

_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I64": torch.int64,
    "U8": torch.uint8,
}


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What is known of a clip besides its picture.

    Attributes:
        width: of the frames as shown, in pixels, before any resizing.
        height: likewise.
        duration_seconds: of the whole clip; NaN for a packed clip, which does not know.
        num_frames: of the whole clip.
        missing: what shows that the clip is not complete, in a few words; None where nothing does.
    """

    width: int
    height: int
    duration_seconds: float
    num_frames: int
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What an entry says of itself before its tensor is read.

    Attributes:
        facts: of the clip.
        precision: that the backbone computed in: ``fp32``, ``bf16``, ``fp16``; or ``frames``.
        origin: a word for people on what made it, such as the backbone's name.
        shape: of the tensor: (T, D) of features, (T, H, W, 3) of frames.
    """

    facts: ClipFacts
    precision: str
    origin: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """An entry whose description was read and checked, and whose tensor can be.

    Attributes:
        entry: the description.
        file: the open file.
        head: of the file: the type, shape and place of each tensor.
        data_start: where the tensors begin in the file.
        seed: what the checksum of each frame begins with.
    """

    entry: Entry
    file: BufferedReader
    head: dict[str, Any]
    data_start: int
    seed: int

    def read(self, part: slice) -> Tensor:
        """The frames of ``part``, each checked; in the type in which they were written."""
        tensor = self._read("clip", part)
        if not torch.equal(_checksums(tensor, self.seed), self._read("checksums", part)):
            raise ValueError("a frame differs from its checksum")
        return tensor

    def _read(self, name: str, part: slice) -> Tensor:
        """The rows of a tensor of the file that ``part``, without a step, takes from it."""
        known = self.head[name]
        length, *row_shape = known["shape"]
        start, stop, _ = part.indices(length)
        tensor = torch.empty(max(stop - start, 0), *row_shape, dtype=_TYPES[known["dtype"]])
        row_bytes = math.prod(row_shape) * tensor.element_size()
        self.file.seek(self.data_start + known["data_offsets"][0] + start * row_bytes)
        if self.file.readinto(_rows(tensor).data) < len(tensor) * row_bytes:
            raise ValueError("it is cut short")
        return tensor


def write_entry(path: Path, tensor: Tensor, facts: ClipFacts, precision: str, origin: str) -> None:
    """Write an entry whole or not at all.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    description = json.dumps({"facts": asdict(facts), "precision": precision, "origin": origin})
    seed = _seed(path, description)
    tensor = tensor.contiguous()
    content = to_bytes(
        {"clip": tensor, "checksums": _checksums(tensor, seed)},
        {"format": FORMAT, "description": description, "checksum": str(seed)},
    )
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def open_entry(path: Path) -> Iterator[OpenEntry]:
    """Open an entry and check its description.

    Raises:
        StorageError: it is absent, damaged, or of another version; likewise if the block finds it
            damaged.
    """
    again = "then run the same command again (a training with --resume): it is computed anew."
    try:
        with path.open("rb") as file:
            head, data_start = _read_head(file)
            metadata = head["__metadata__"]
            if metadata["format"] != FORMAT:
                raise ValueError("it is of another version of Filmstrip")
            seed = _seed(path, metadata["description"])
            if metadata["checksum"] != str(seed):
                raise ValueError("its description differs from its checksum")
            known = parse_json(metadata["description"])
            shape = tuple(head["clip"]["shape"])
            entry = Entry(ClipFacts(**known["facts"]), known["precision"], known["origin"], shape)
            yield OpenEntry(entry, file, head, data_start, seed)
    except FileNotFoundError as error:
        raise StorageError(
            f"{path}: the entry is gone from the feature cache",
            "an entry that stays while it is in use",
            f"let no `filmstrip cache prune --all` run beside other commands, {again}",
        ) from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"{path}: the entry is damaged ({error})",
            "an entry of the feature cache as it was written",
            f"run `filmstrip cache verify --delete`, {again}",
        ) from error


def is_of_another_version(path: Path) -> bool:
    """Whether this is a whole entry that another version of Filmstrip wrote, and may still use."""
    try:
        with path.open("rb") as file:
            head, _ = _read_head(file)
            return bool(dict(head["__metadata__"]).get("format") != FORMAT)
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _read_head(file: BufferedReader) -> tuple[dict[str, Any], int]:
    """What a safetensors file says of its tensors, and where these begin.

    The format: 8 bytes for the length of the head, the head in JSON, the tensors without a gap.
    See https://huggingface.co/docs/safetensors.
    """
    num_bytes = os.fstat(file.fileno()).st_size
    data_start = 8 + int.from_bytes(file.read(8), "little")
    if data_start > num_bytes:
        raise ValueError("it is cut short or overwritten")
    head = parse_json(file.read(data_start - 8))
    if not isinstance(head, dict):
        raise ValueError("it is overwritten")
    ends = [0]
    for name, known in head.items():
        if name != "__metadata__":
            begin, end = known["data_offsets"]
            if math.prod(known["shape"]) * _TYPES[known["dtype"]].itemsize != end - begin:
                raise ValueError("its shape does not fit its size")
            ends.append(end)
    if data_start + max(ends) != num_bytes:
        raise ValueError("it is cut short")
    return head, data_start


def _seed(path: Path, description: str) -> int:
    """The checksum of what an entry says of itself, and of the name under which it says it."""
    return zlib.crc32(f"{path.stem}\0{description}".encode())


def _checksums(tensor: Tensor, seed: int) -> Tensor:
    """One for each frame, (T, 1) int64.

    A CRC, since disks err and do not forge; it costs a fraction of the time of a hash.
    """
    seed = zlib.crc32(f"{tensor.dtype} {tuple(tensor.shape[1:])}".encode(), seed)
    checksums = [zlib.crc32(row, seed) for row in _rows(tensor)]
    return torch.tensor(checksums, dtype=torch.int64)[:, None]


def _rows(tensor: Tensor) -> NDArray[np.uint8]:
    """The bytes of each frame, (T, number of bytes)."""
    rows: NDArray[np.uint8] = tensor.flatten(1).view(torch.uint8).numpy()
    return rows
