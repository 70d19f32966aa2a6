"""Find a network's tensors in a file of weights, whatever wraps or prefixes their names.

Training scripts store weights in nested dictionaries (``model_state_dict``, ``state_dict``) and
under the names of their own modules (``backbone.``, ``module.``). Both only put a prefix before the
names that the network has, so one search finds both: the prefix under which every tensor fits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from filmstrip.errors import WeightsError

StateDict = dict[str, Tensor]

_DEEPEST = 8
_NUM_SHOWN = 3

# torch.compile, FSDP and activation checkpointing put these into the middle of names.
_WRAPPER_MODULES = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

# Of several complete sets of weights, one whose prefix has only such parts is the network itself;
# others are averages, teachers or momentum encoders.
_PLAIN_PARTS = {
    *("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params"),
    *("backbone", "encoder", "trunk"),
}


@dataclass(frozen=True, slots=True)
class Match:
    """The tensors that fit a network.

    Attributes:
        tensors: under the network's own names.
        prefix: what stood before these names in the file, ending in a dot; may be empty.
    """

    tensors: StateDict
    prefix: str


def flatten(content: Mapping[object, object]) -> StateDict:
    """Return the tensors of nested dictionaries under dotted names, without wrapper modules."""
    tensors: StateDict = {}
    waiting = [("", content, 0)]
    while waiting:
        prefix, level, depth = waiting.pop()
        for key, value in level.items():
            name = f"{prefix}{key}"
            if isinstance(value, Tensor):
                parts = [part for part in name.split(".") if part not in _WRAPPER_MODULES]
                tensors[".".join(parts)] = value
            elif isinstance(value, Mapping) and depth < _DEEPEST:
                waiting.append((f"{name}.", value, depth + 1))
    return tensors


def match(stored: StateDict, needed: StateDict, origin: str) -> Match:
    """Find the tensors of a network among stored ones.

    Tensors that the network does not have, such as the layers of a classifier, are ignored. The
    counters ``num_batches_tracked`` may be missing.

    Args:
        stored: as ``flatten`` returns them.
        needed: the network's own, of the right shapes.
        origin: the file, for messages.

    Raises:
        WeightsError: the tensors do not fit under any prefix, or different ones fit under several.
    """
    wanted = {name for name in needed if not name.endswith("num_batches_tracked")}
    hits = _prefixes(stored, wanted)
    complete = [
        prefix
        for prefix, number in hits.items()
        if number == len(wanted) and not _faults(stored, needed, prefix)
    ]
    if not complete:
        best = max(hits, key=lambda prefix: (hits[prefix], -len(prefix)), default="")
        raise _misfit(stored, needed, best, hits[best], origin)
    plain = [prefix for prefix in complete if _PLAIN_PARTS.issuperset(prefix.split(".")[:-1])]
    candidates = sorted(plain or complete, key=lambda prefix: (prefix.count("."), prefix))
    first = candidates[0]
    for other in candidates[1:]:
        if any(not torch.equal(stored[first + name], stored[other + name]) for name in wanted):
            raise WeightsError(
                f"{origin}: holds several networks that fit the backbone, under {first!r} and "
                f"{other!r}",
                "the weights of one network",
                f"save one of them by itself, with names that do not begin with {first!r} or "
                f"{other!r}.",
            )
    return Match({name: stored[first + name] for name in needed if first + name in stored}, first)


def _prefixes(stored: StateDict, wanted: set[str]) -> Counter[str]:
    """Count for each prefix how many of the wanted names it completes to a stored one."""
    hits: Counter[str] = Counter()
    for name in stored:
        start = 0
        while True:
            if name[start:] in wanted:
                hits[name[:start]] += 1
            dot = name.find(".", start)
            if dot < 0:
                break
            start = dot + 1
    return hits


def _faults(stored: StateDict, needed: StateDict, prefix: str) -> list[str]:
    """Say what keeps the tensors under ``prefix`` from being the needed ones."""
    faults = []
    for name, parameter in needed.items():
        tensor = stored.get(prefix + name)
        if tensor is None:
            if not name.endswith("num_batches_tracked"):
                faults.append(f"missing {name}")
        elif tensor.shape != parameter.shape:
            faults.append(f"{name} {tuple(tensor.shape)} for {tuple(parameter.shape)}")
        elif (
            tensor.is_floating_point() != parameter.is_floating_point()
            or tensor.layout != torch.strided
            or tensor.is_meta
        ):
            faults.append(f"{name} of type {tensor.dtype} for {parameter.dtype}")
    return sorted(faults, key=lambda fault: not fault.startswith("missing"))


def _misfit(
    stored: StateDict, needed: StateDict, prefix: str, num_hits: int, origin: str
) -> WeightsError:
    faults = _faults(stored, needed, prefix)
    listed = "; ".join(faults[:_NUM_SHOWN]) + ("; …" if len(faults) > _NUM_SHOWN else "")
    given = f"{origin}: {len(faults)} of {len(needed)} tensors do not fit the backbone ({listed})"
    if 2 * num_hits < len(needed):
        given += f". The file has {_some(stored)}; the backbone needs {_some(needed)}"
    return WeightsError(
        given,
        "weights of the same network as the recipe's backbone",
        "check --weights against backbone.name and its options "
        "(filmstrip recipes NAME shows them).",
    )


def _some(tensors: StateDict) -> str:
    """Name a few tensors with their shapes."""
    if not tensors:
        return "no tensors"
    shown = [f"{name[:60]!r} {tuple(t.shape)}" for name, t in list(tensors.items())[:_NUM_SHOWN]]
    return ", ".join(shown) + (", …" if len(tensors) > _NUM_SHOWN else "")
