"""What the machine did wrong is not blamed on the file."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from filmstrip.errors import DamagedVideoError, ResourceError, lacks_memory
from filmstrip.video.failures import machine_failures
from filmstrip.video.probe import probe


@pytest.fixture
def no_more_files() -> Iterator[None]:
    """No file descriptor is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_probe_without_file_descriptors_is_a_resource_error(
    video: Path, no_more_files: None
) -> None:
    with pytest.raises(ResourceError, match="Too many open files"):
        probe(video)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_machine_failures_names_a_lack_of_memory(error: Exception, video: Path) -> None:
    assert lacks_memory(error)
    with pytest.raises(ResourceError, match="not enough memory"), machine_failures(video):
        raise error
    with pytest.raises(ResourceError, match="not enough memory"), machine_failures(video):
        raise DamagedVideoError("damaged", "a video", "copy it again") from error


def test_machine_failures_passes_other_errors_on(video: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), machine_failures(video):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize("fails", [True, False])
def test_machine_failures_reads_a_file_before_it_blames_the_disk(
    fails: bool, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(_path: Path, *_arguments: Any, **_settings: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    if fails:
        monkeypatch.setattr(Path, "open", opened)
    kind = ResourceError if fails else DamagedVideoError
    with pytest.raises(kind), machine_failures(video):
        raise DamagedVideoError("damaged", "a video", "copy it again") from av.error.OSError(
            errno.EIO, "Input/output error"
        )


def test_machine_failures_names_what_python_could_not_read(video: Path) -> None:
    with pytest.raises(ResourceError, match="Stale file handle"), machine_failures(video):
        raise OSError(errno.ESTALE, "Stale file handle")
