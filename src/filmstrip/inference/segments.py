"""Probabilities from step to step become segments with a label: hysteresis and a minimum length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from filmstrip.errors import RecipeError
from filmstrip.inference.timeline import TimelineStep

# Times are sums of steps; a segment of exactly the minimum length is long enough.
_ROUNDING_SECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the recording that shows one class.

    Attributes:
        label: the class.
        start_seconds: after the first frame.
        end_seconds: likewise; half-open.
        confidence: mean probability of the class, each step counted as long as it is.
        unfamiliar_share: share of its duration that is unlike everything in the training set; None
            where that is not checked.
    """

    label: str
    start_seconds: float
    end_seconds: float
    confidence: float
    unfamiliar_share: float | None = None

    @property
    def is_unfamiliar(self) -> bool:
        """Whether most of it is unlike everything in the training set."""
        return self.unfamiliar_share is not None and self.unfamiliar_share > 0.5

    @property
    def num_seconds(self) -> float:
        """How long it lasts."""
        return self.end_seconds - self.start_seconds

    def joined(self, later: Segment) -> Segment:
        """This segment and a later one of its class as one; what lies between has no vote."""
        total = self.num_seconds + later.num_seconds

        def weighted(own: float, others: float) -> float:
            return (own * self.num_seconds + others * later.num_seconds) / total if total else own

        share = self.unfamiliar_share
        if share is not None and later.unfamiliar_share is not None:
            share = weighted(share, later.unfamiliar_share)
        confidence = weighted(self.confidence, later.confidence)
        return Segment(self.label, self.start_seconds, later.end_seconds, confidence, share)


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """When a segment begins and ends.

    Attributes:
        enter: probability from which a class begins a segment.
        leave: probability below which it ends its segment; lower than ``enter``, so that a
            probability that wavers about one threshold makes one segment and not twenty.
        min_seconds: shorter segments are dropped; as short an interruption of one class is closed.

    Raises:
        RecipeError: a probability outside (0, 1], ``leave`` above ``enter``, or a negative length.
    """

    enter: float = 0.6
    leave: float = 0.4
    min_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.leave <= self.enter <= 1 or not self.min_seconds >= 0:
            raise RecipeError(
                f"enter={self.enter}, leave={self.leave}, min_seconds={self.min_seconds}",
                "0 < leave ≤ enter ≤ 1, and a minimum length of 0 or more",
                "for example --enter 0.6 --leave 0.4 --min-length 1.",
            )


def find_segments(
    steps: Iterable[TimelineStep], class_names: Sequence[str], rules: Hysteresis
) -> Iterator[Segment]:
    """The segments of a timeline, in order; there is none where no class is sure.

    Args:
        steps: in order, without gaps.
        class_names: in the order of the steps' probabilities.
        rules: when a segment begins and ends.
    """
    kept: Segment | None = None
    for segment in _by_hysteresis(steps, class_names, rules):
        if segment.num_seconds < rules.min_seconds - _ROUNDING_SECONDS:
            continue
        if kept is None:
            kept = segment
        elif _is_interruption(kept, segment, rules.min_seconds):
            kept = kept.joined(segment)
        else:
            yield kept
            kept = segment
    if kept is not None:
        yield kept


def _is_interruption(before: Segment, after: Segment, min_seconds: float) -> bool:
    gap = after.start_seconds - before.end_seconds
    return before.label == after.label and gap < min_seconds - _ROUNDING_SECONDS


def _by_hysteresis(
    steps: Iterable[TimelineStep], class_names: Sequence[str], rules: Hysteresis
) -> Iterator[Segment]:
    current: Segment | None = None
    place = -1
    for step in steps:
        top = int(step.probs.argmax())
        is_certain = step.probs[top] >= rules.enter
        if current is not None and (
            step.probs[place] < rules.leave or (is_certain and top != place)
        ):
            yield current
            current = None
        if current is None:
            if not is_certain:
                continue
            place = top
        seen = Segment(
            class_names[place],
            step.start_seconds,
            step.end_seconds,
            float(step.probs[place]),
            None if step.unfamiliar is None else float(step.unfamiliar),
        )
        current = seen if current is None else current.joined(seen)
    if current is not None:
        yield current
