"""Clips out of one packed file, a ``.npz`` or a ``.pkl`` of arrays.

Arrays that lie uncompressed in an ``.npz`` are mapped, not read: a clip is fetched from the disk
when it is asked for, so the file may be larger than the memory.
"""

from __future__ import annotations

import bisect
import struct
import zipfile
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from filmstrip.dataset.array_layout import CHANNELS_LAST, LAYOUTS, num_frames
from filmstrip.dataset.arrays import clip_arrays, to_frames
from filmstrip.dataset.rows import Listing, SkippedFile, VideoRow, composed, split_name
from filmstrip.dataset.unpickle import check_shape, check_text, load_arrays, refuse_beyond_memory
from filmstrip.errors import DatasetError
from filmstrip.storage import parse_json

PICKLE_SUFFIXES = (".pkl", ".pickle")
PACKED_SUFFIXES = (".npz", *PICKLE_SUFFIXES)
# Smaller members are read at once; a mapping each would only cost.
_MAPPED_BYTES = 1 << 20
_MOST_MEMBERS = 1000
_LOCAL_HEADER = struct.Struct("<26xHH")


class PackedClips:
    """The clips of a packed file; ``clips[i]`` is clip i's frames (T, H, W, 3) uint8.

    Read from a ``.npz`` by ``filmstrip pack``, or from arrays of other makes (see
    ``filmstrip.dataset.arrays``). Floating-point frames in 0..1 or 0..255 are rounded to uint8.

    Attributes:
        labels: each clip's place in ``class_names``, (N,) int64.
        class_names: the classes.
        splits: "train", "val", "test" or "" for each clip.
        groups: the group of each clip, "" where the file names none.
        names: the file each clip came from, "" where the file names none.
        info: how the file was made, {} where it does not say.

    Raises:
        DatasetError: the file is missing, damaged or holds no labelled clips.
    """

    def __init__(self, path: Path) -> None:
        """Open the file."""
        self.path = path
        content = load_arrays(path) if path.suffix.lower() in PICKLE_SUFFIXES else _read_npz(path)
        arrays = clip_arrays(content, path)
        self._parts = arrays.parts
        self._ends = list(accumulate(map(len, arrays.parts)))
        self._scale = arrays.scale
        self._layout = arrays.layout
        self.labels = arrays.labels
        self.class_names = arrays.class_names
        self._lengths = self._checked_lengths(arrays.extras.get("lengths"))
        self.splits = self._checked_splits(arrays.extras.get("splits")) or arrays.splits
        self.groups = self._texts(arrays.extras.get("groups")) or ("",) * len(self)
        self.names = self._texts(arrays.extras.get("names")) or ("",) * len(self)
        self.info = _info(arrays.extras.get("info"))

    def __len__(self) -> int:
        """The number of clips."""
        return len(self.labels)

    def __getitem__(self, i: int) -> NDArray[np.uint8]:
        """Frames (T, H, W, 3) of clip ``i``, a copy, cut to the clip's own length."""
        if not 0 <= i < len(self):
            raise IndexError(f"clip {i} of {self.path}, which holds {len(self)}")
        part = bisect.bisect_right(self._ends, i)
        clip = self._parts[part][i - (self._ends[part] - len(self._parts[part]))]
        if self._lengths is not None:
            kept = [slice(None)] * clip.ndim
            kept[self._layout.index("T")] = slice(self._lengths[i])
            clip = clip[tuple(kept)]
        return to_frames(clip, self._scale, self._layout)

    @property
    def reading(self) -> str:
        """What the arrays are taken for, where they are not as 'filmstrip pack' writes them."""
        sentences = []
        if self._layout != CHANNELS_LAST:
            sentences.append(f"the arrays are read as {LAYOUTS[self._layout]}")
        if self._scale != 1:
            sentences.append("pixels from 0 to 1 are read as 0 to 255")
        return f"{self.path.name}: {'; '.join(sentences)}" if sentences else ""

    def __reduce__(self) -> tuple[type[PackedClips], tuple[Path]]:
        """Worker processes map the file themselves; the arrays are never sent."""
        return PackedClips, (self.path,)

    def _checked_lengths(self, lengths: Any) -> list[int] | None:
        if lengths is None:
            return None
        try:
            values = np.asarray(lengths)
        except ValueError:
            values = np.empty(0)  # a list of lists of different lengths
        longest = [
            clip_length for part in self._parts for clip_length in _clip_lengths(part, self._layout)
        ]
        if (
            values.shape != (len(self),)
            or values.dtype.kind not in "iu"
            or np.any(values < 1)
            or np.any(values > longest)
        ):
            raise DatasetError(
                f"{self.path}: lengths of shape {values.shape} that do not fit its clips",
                f"{len(self)} whole numbers from 1 to the clips' number of frames",
                "make the file again.",
            )
        return [int(length) for length in values]

    def _checked_splits(self, values: Any) -> tuple[str, ...]:
        texts = self._texts(values)
        splits = tuple(split_name(text) if text else "" for text in texts)
        if None in splits:
            raise DatasetError(
                f"{self.path}: splits hold {texts[splits.index(None)]!r}",
                "train, val, test or an empty text for each clip",
                "make the file again.",
            )
        return cast(tuple[str, ...], splits)

    def _texts(self, values: Any) -> tuple[str, ...]:
        if values is None:
            return ()
        is_list = isinstance(values, (list, tuple)) or np.ndim(values) == 1
        if not is_list or len(values) != len(self):
            number = len(values) if is_list else type(values).__name__
            raise DatasetError(
                f"{self.path}: {number} texts for {len(self)} clips",
                "splits, groups and names of one text for each clip",
                "make the file again.",
            )
        return tuple(str(value) for value in values)


def read_packed(path: Path) -> Listing:
    """List the clips of a packed file.

    Raises:
        DatasetError: the file is missing, damaged or holds no labelled clips.
    """
    clips = PackedClips(path)
    rows = [
        VideoRow(path, clips.class_names[label], group, split, packed_index=i)
        for i, (label, group, split) in enumerate(
            zip(clips.labels, clips.groups, clips.splits, strict=True)
        )
    ]
    grouping = f"as stored in {path.name}" if any(clips.groups) else ""
    class_names = tuple(map(composed, clips.class_names))
    held = {row.label for row in rows}
    reason = "its class_names name the class, but no clip is of it"
    skipped = [
        SkippedFile(path, reason, name, kind="classes without clips")
        for name in class_names
        if name not in held
    ]
    return Listing(rows, skipped, class_names, grouping, clips.reading)


def _clip_lengths(part: Any, layout: str) -> list[int]:
    if isinstance(part, np.ndarray):
        return [num_frames(part.shape[1:], layout)] * len(part)
    return [num_frames(clip.shape, layout) for clip in part]


def _info(value: Any) -> dict[str, Any]:
    """What the file says about itself, if it is a mapping or one in JSON."""
    if not isinstance(value, Mapping):
        try:
            value = parse_json(str(value))
        except ValueError:
            return {}
    return dict(value) if isinstance(value, Mapping) else {}


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if item.filename.endswith(".npy")]
            read = [item for item in members if not _is_mapped(item)]
            refuse_beyond_memory(path, sum(item.file_size for item in read))
            if len(members) > _MOST_MEMBERS:
                raise ValueError(f"{len(members)} arrays, at most {_MOST_MEMBERS} are read")
            arrays = {
                item.filename.removesuffix(".npy"): _read_member(archive, item) for item in read
            }
        for item in members:
            if _is_mapped(item):
                arrays[item.filename.removesuffix(".npy")] = _map_member(path, item)
        return arrays
    except DatasetError:
        raise
    except MemoryError as error:
        raise DatasetError(
            f"{path}: needs more memory than is free",
            "a compressed file that fits in memory, for it is read as a whole",
            "write the arrays as uint8 with numpy.savez, uncompressed, which is read clip by clip.",
        ) from error
    except Exception as error:  # a damaged or hostile archive can raise anything
        raise DatasetError(
            f"{path}: cannot be read as arrays ({error or type(error).__name__})",
            "an .npz of arrays of numbers or text, as 'filmstrip pack' and numpy.savez write it",
            "make the file again; it may have been cut short when it was written or copied.",
        ) from error


def _read_member(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> NDArray[Any]:
    """Read a member whose header asks for no more than the member holds."""
    with archive.open(item) as member:
        _read_header(member, item)
    with archive.open(item) as member:
        array = npy.read_array(member, allow_pickle=False)
    check_text(array)
    return array


def _read_header(file: IO[bytes], item: zipfile.ZipInfo) -> tuple[tuple[int, ...], bool, Any]:
    """The shape, order and type of a member, all of which fit its size."""
    start = file.tell()
    version = npy.read_magic(file)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, is_fortran, dtype = read_header(file)
    except (MemoryError, RecursionError):  # of the parser's own stack
        raise ValueError(f"the header of {item.filename} is nested too deeply") from None
    if dtype.hasobject:
        raise ValueError(f"{item.filename} holds Python objects")
    if dtype.kind not in "biufUS" or not dtype.itemsize:
        raise ValueError(f"{item.filename} holds {dtype}, not numbers or text")
    check_shape(shape, dtype, item.file_size - (file.tell() - start))
    return shape, is_fortran, dtype


def _is_mapped(item: zipfile.ZipInfo) -> bool:
    return item.compress_type == zipfile.ZIP_STORED and item.file_size >= _MAPPED_BYTES


def _map_member(path: Path, item: zipfile.ZipInfo) -> NDArray[Any]:
    """Map an uncompressed member where it lies: after its local header, name, extra and npy header.

    The local header's extra field may differ in length from the central directory's, so the local
    one is read (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.7).
    """
    with path.open("rb") as file:
        file.seek(item.header_offset)
        name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        file.seek(name_length + extra_length, 1)
        shape, is_fortran, dtype = _read_header(file, item)
        start = file.tell()
    mapped = np.memmap(
        path, dtype, mode="r", offset=start, shape=shape, order="F" if is_fortran else "C"
    )
    check_text(mapped)
    return mapped
