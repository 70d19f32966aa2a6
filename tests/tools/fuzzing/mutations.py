"""Damage to bytes, text, JSON and model folders; what comes out depends on the generator alone."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator

_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1)
_VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 0.5, 7, 1000, 10**6, 10**9, 10**18, 10**400, 1e308, -1e308, 1e-308),
    *(float("nan"), float("inf"), None, True, False, "", "x", "none", "x" * 100_000),
    *("\x1b]0;owned\x07", "a\nb", "../../etc/passwd", "\u202e", [], {}, [[]], [0], ["", ""]),
)
_WORDS = (
    *(b",", b";", b"\t", b" ", b"|", b'"', b"'", b"\r\n", b"\n\n", b"\x00", b"\xff\xfe"),
    *(b"../", b"/etc/passwd", b"C:\\clips\\a.mp4", b"\x1b[31m", "\u202eé".encode()),
    *(b"&a [*a, *a]", b"!!python/object:os.system", b"<<: *x", b"- - - - ", b"{" * 300),
    *(b"1e999", b"-1", b"99999999999999999999", b"nan", b"x" * 70_000, b"[" * 3000),
)


def damaged_bytes(data: bytes, rng: Rng, other: bytes = b"") -> bytes:
    """One to eight random edits of ``data``; ``other`` may be spliced in."""
    content = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3, 8]))):
        edit = _BYTE_EDITS[rng.integers(len(_BYTE_EDITS))]
        edit(content, rng, other or data)
    return bytes(content)


def damaged_text(data: bytes, rng: Rng) -> bytes:
    """Words and lines of a text changed, repeated, moved or broken."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        lines = bytes(content).split(b"\n")
        kind = rng.integers(5)
        if kind == 0:
            place = int(rng.integers(len(content) + 1))
            content[place:place] = _WORDS[rng.integers(len(_WORDS))]
        elif kind == 1:
            lines.insert(int(rng.integers(len(lines) + 1)), lines[rng.integers(len(lines))])
            content = bytearray(b"\n".join(lines))
        elif kind == 2 and len(lines) > 1:
            del lines[rng.integers(len(lines))]
            content = bytearray(b"\n".join(lines))
        elif kind == 3:
            old, new = (_WORDS[i] for i in rng.integers(len(_WORDS), size=2))
            content = bytearray(bytes(content).replace(old, new)[: 2**22])
        else:
            content = bytearray(damaged_bytes(bytes(content), rng))
    return bytes(content)


def damaged_json(data: bytes, rng: Rng) -> bytes:
    """A JSON text with one to three values replaced, repeated, nested or removed."""
    content = json.loads(data)
    for _ in range(int(rng.integers(1, 4))):
        content = _changed(content, rng)
    return json.dumps(content).encode()


def damaged_safetensors(data: bytes, rng: Rng) -> bytes:
    """A safetensors file whose header tells another story, or whose numbers are absurd."""
    (length,) = struct.unpack_from("<Q", data)
    header, body = data[8 : 8 + length], bytearray(data[8 + length :])
    kind = rng.integers(4)
    if kind == 0:
        header = damaged_json(header, rng)
    elif kind == 1:
        return damaged_bytes(data, rng)
    else:
        numbers = np.frombuffer(body, dtype="<f4", count=len(body) // 4).copy()
        value = rng.choice([np.nan, np.inf, -np.inf, 1e38, 1e20, 0.0])
        chosen = rng.random(len(numbers)) < rng.choice([1e-3, 0.1, 1.0])
        numbers[chosen] = value
        body[: 4 * len(numbers)] = numbers.tobytes()
    return struct.pack("<Q", len(header)) + header + bytes(body)


def damaged_npz(data: bytes, rng: Rng) -> bytes:
    """An ``.npz`` with damaged bytes, or, with sound checksums, an array whose header lies."""
    if rng.random() < 0.5:
        return damaged_bytes(data, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = names[rng.integers(len(names))]
        for name in names:
            member = old.read(name)
            if name == chosen:
                start = member.index(b"(") if b"(" in member[:128] else 60
                head = bytearray(member[:start] + damaged_text(member[start:128], rng))
                member = bytes(head[:128].ljust(128)) + member[128:]
            new.writestr(name, member, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _changed(content: Any, rng: Rng) -> Any:
    """One random node of a JSON value changed."""
    if isinstance(content, dict) and content and rng.random() < 0.9:
        key = list(content)[rng.integers(len(content))]
        if rng.random() < 0.1:
            return {name: value for name, value in content.items() if name != key}
        return {**content, key: _changed(content[key], rng)}
    if isinstance(content, list) and content and rng.random() < 0.7:
        if rng.random() < 0.2:
            return content * int(rng.choice([2, 1000]))
        place = int(rng.integers(len(content)))
        return [*content[:place], _changed(content[place], rng), *content[place + 1 :]]
    if rng.random() < 0.1:
        for _ in range(int(rng.choice([3, 500]))):
            content = [content]
        return content
    return _VALUES[rng.integers(len(_VALUES))]


def _flip(content: bytearray, rng: Rng, _other: bytes) -> None:
    if content:
        content[_place(content, rng)] ^= 1 << int(rng.integers(8))


def _number(content: bytearray, rng: Rng, _other: bytes) -> None:
    value = int(_NUMBERS[rng.integers(len(_NUMBERS))])
    width = int(rng.choice([1, 2, 4, 8]))
    order = "big" if rng.random() < 0.5 else "little"
    place = _place(content, rng)
    content[place : place + width] = (value % 256**width).to_bytes(width, order)


def _random_run(content: bytearray, rng: Rng, _other: bytes) -> None:
    place = _place(content, rng)
    run = rng.bytes(int(rng.integers(1, 64)))
    content[place : place + len(run)] = run


def _zero_run(content: bytearray, rng: Rng, _other: bytes) -> None:
    place, length = _place(content, rng), int(rng.choice([16, 256, 4096]))
    content[place : place + length] = bytes(min(length, len(content) - place))


def _cut(content: bytearray, rng: Rng, _other: bytes) -> None:
    del content[_place(content, rng) :]


def _remove(content: bytearray, rng: Rng, _other: bytes) -> None:
    place = _place(content, rng)
    del content[place : place + int(rng.choice([1, 4, 188, 1000]))]


def _repeat(content: bytearray, rng: Rng, _other: bytes) -> None:
    start = _place(content, rng)
    run = content[start : start + int(rng.choice([4, 188, 4096]))]
    content[start:start] = run * int(rng.choice([1, 3]))


def _splice(content: bytearray, rng: Rng, other: bytes) -> None:
    start = int(rng.integers(len(other) or 1))
    run = other[start : start + int(rng.choice([16, 512, 8192]))]
    place = _place(content, rng)
    content[place : place + len(run)] = run


def _place(content: bytearray, rng: Rng) -> int:
    """Anywhere, but half of the time in the first or last kilobyte, where containers describe."""
    length = len(content) or 1
    kind = rng.random()
    if kind < 0.35:
        return int(rng.integers(min(length, 1024)))
    if kind < 0.5:
        return int(length - 1 - rng.integers(min(length, 1024)))
    return int(rng.integers(length))


_BYTE_EDITS: tuple[Callable[[bytearray, Rng, bytes], None], ...] = (
    *(_flip, _flip, _number, _number, _number, _random_run),
    *(_zero_run, _cut, _remove, _repeat, _splice),
)
