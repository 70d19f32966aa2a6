"""Whether a checkpoint on the disk is whole, and fits what is trained."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from filmstrip.errors import StorageError

_NEEDED_TO_GO_ON = frozenset(
    {"callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states"}
)


def checkpoint_fault(
    path: Path, weights: Mapping[str, Tensor], is_whole: bool = False
) -> str | None:
    """Return what is wrong with a checkpoint, or None.

    Args:
        path: the file.
        weights: those that it must hold, for their names and shapes.
        is_whole: whether it must hold all that a training needs to go on, besides the weights.

    Raises:
        StorageError: the file is there and this user, or this machine, cannot read it.
    """
    if not path.is_file():
        return "is missing"
    try:
        # PyTorch does not compare the checksums that it writes.
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return "is damaged"
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be read ({error.strerror or error})",
            "a checkpoint that this user may read",
            "change its permissions, or copy the run folder again; or remove the file: the "
            "training then starts again from its first epoch.",
        ) from error
    except (
        *(zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, NotImplementedError),
        *(EOFError, KeyError, ValueError, TypeError, AttributeError, RuntimeError),
    ) as error:
        if "allocate memory" in str(error):
            raise
        return "is damaged"
    return None if _fits(stored, weights, is_whole) else "does not belong to this training"


def _fits(stored: Any, weights: Mapping[str, Tensor], is_whole: bool) -> bool:
    if not isinstance(stored, dict) or not isinstance(stored.get("state_dict"), dict):
        return False
    if is_whole and not stored.keys() >= _NEEDED_TO_GO_ON:
        return False
    found = stored["state_dict"]
    return found.keys() == weights.keys() and all(
        isinstance(found[name], Tensor) and found[name].shape == weight.shape
        for name, weight in weights.items()
    )
