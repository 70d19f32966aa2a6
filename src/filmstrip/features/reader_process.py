"""The program of one reader process: places of videos come in, frames go out. See ``readers.py``.

Requests and answers are lines of JSON on standard input and output; frames lie in a file that both
processes have mapped into their memory.
"""

from __future__ import annotations

import json
import mmap
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from filmstrip.dataset.rows import VideoRow
from filmstrip.errors import ResourceError, VideoError
from filmstrip.features.source import ClipReader
from filmstrip.video.sampling import Sampling
from filmstrip.video.transforms import Framing


def main() -> None:
    """Read clips until standard input ends."""
    # Ctrl-C goes to all processes of a terminal; the one that started this one closes its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    settings = json.loads(sys.argv[1])
    sampling: Sampling = TypeAdapter(Sampling).validate_python(settings["sampling"])
    reader = ClipReader(sampling, Framing.model_validate(settings["framing"]))
    shared = mmap.mmap(settings["shared_file"], 0)
    _say({"is_ready": True})
    for line in sys.stdin:
        _say(_answer(reader, Path(json.loads(line)), shared))


def _answer(reader: ClipReader, path: Path, shared: mmap.mmap) -> dict[str, Any]:
    try:
        frames, facts = reader.read(VideoRow(path, label=""))
    except VideoError as error:
        passing = isinstance(error, ResourceError)
        return {"error": [error.given, error.expected, error.remedy], "passing": passing}
    np.frombuffer(shared, np.uint8, frames.size).reshape(frames.shape)[:] = frames
    return {"shape": frames.shape, "facts": asdict(facts)}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
