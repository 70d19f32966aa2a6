"""Check the files of a model folder before anything large is built from them.

A model folder may come from somebody else, or be damaged. ``config.json`` is validated field by
field. The names and shapes that it asks for are computed on torch's meta device, which allocates
nothing, and compared with the header of ``model.safetensors``. Then every value is checked.
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from filmstrip.errors import RunError, WeightsError
from filmstrip.model.specs import ClassifierSpec

MAX_CONFIG_BYTES = 32 * 1024**2
"""Room for the longest list of class names that a ``ClassifierSpec`` admits in practice."""

LARGEST_WEIGHT = 1e12
"""Networks keep weights below about 1e6, variances of batch normalisation included."""

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8}
_NUM_NAMED = 3


def read_config(config: Path) -> ClassifierSpec:
    """Return the content of a model's ``config.json``.

    Raises:
        RunError: it cannot be read, or a field is missing, unknown or out of its bounds.
    """
    reason = ""
    try:
        if config.stat().st_size <= MAX_CONFIG_BYTES:
            return ClassifierSpec.model_validate_json(config.read_bytes())
        reason = f"it has more than {MAX_CONFIG_BYTES // 1024**2} MiB"
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        reason = f"{place[:100]}: {first['msg'][:300]}"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise RunError(
        f"{config}: is not a Filmstrip model's configuration ({reason})",
        "the config.json that 'filmstrip train' wrote",
        "copy the model folder again, or train it again with this version.",
    )


def check_header(file: Path, network: nn.Module) -> None:
    """Check that a safetensors file holds exactly the tensors of ``network``.

    Only the header of the file is read.

    Args:
        file: ``model.safetensors``.
        network: built from ``config.json``; may be on torch's meta device.

    Raises:
        WeightsError: the header is damaged, a name, shape or type differs, or the weights would
            not fit into the memory of this machine.
    """
    try:
        with safe_open(file, "pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            stored = {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise misfit(file, " ".join(str(error).split())[:200]) from error
    state: Mapping[str, Tensor] = network.state_dict()
    needed = {name: (tuple(t.shape), t.is_floating_point()) for name, t in state.items()}
    faults = [f"missing {name}" for name in needed if name not in stored]
    faults += [f"unexpected {name[:100]!r}" for name in stored if name not in needed]
    num_bytes = 0
    for name in (name for name in needed if name in stored):
        (shape, is_float), (stored_shape, dtype) = needed[name], stored[name]
        if shape != stored_shape:
            faults.append(f"{name} has shape {reprlib.repr(stored_shape)} instead of {shape}")
        elif dtype not in _SIZES or is_float == (dtype == "I64"):
            faults.append(f"{name} has type {dtype}")
        else:
            num_bytes += _SIZES[dtype] * math.prod(shape)
    if faults:
        more = "; …" if len(faults) > _NUM_NAMED else ""
        raise misfit(file, "; ".join(faults[:_NUM_NAMED]) + more)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 2 * num_bytes > memory_bytes:  # the file and the network, while one is copied to the other
        raise WeightsError(
            f"{file}: loading it takes {2 * num_bytes / 1e9:.0f} GB of memory",
            f"at most the {memory_bytes / 1e9:.0f} GB that this machine has",
            "load it on a larger machine, or train with a smaller backbone.",
        )


def check_values(tensors: Mapping[str, Tensor], origin: object) -> None:
    """Check that every weight is a number that a trained network can have.

    Args:
        tensors: by name.
        origin: the file that they come from, for the message.

    Raises:
        WeightsError: one holds NaN, an infinity, a number beyond ``LARGEST_WEIGHT``, or a negative
            variance; the message names it.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        low, high = (bound.item() for bound in tensor.float().aminmax())  # NaN if any value is
        fault = ""
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            fault = "holds NaN or infinity"
        elif max(-low, high) > LARGEST_WEIGHT:
            fault = f"holds {low if -low > high else high:.3g}"
        elif name.endswith("running_var") and low < 0:
            fault = f"holds {low:.3g}, and variances are not negative"
        if fault:
            raise WeightsError(
                f"{origin}: the tensor {name[:100]!r} {fault}",
                f"finite weights, none beyond ±{LARGEST_WEIGHT:g}",
                "copy the file again; if it was trained so, train it again with a lower "
                "training.learning_rate.",
            )


def misfit(file: Path, reason: str) -> WeightsError:
    """Return the error for weights that do not belong to their ``config.json``."""
    return WeightsError(
        f"{file}: does not fit its config.json ({reason})",
        "the two files of one training",
        "copy the model folder again.",
    )
