"""Several classifiers on the same clips under several seeds: who is better, and who was luckier.

With folds each seed answers every clip once. The answers of one clip under several seeds are not
independent evidence, and are never counted as such: intervals draw whole groups with all their
answers, and McNemar's test is made for each seed by itself. The seeds' p-values are then combined
into one that is small only where more than half of them are, which holds however they depend on
each other (Rüger, Das maximale Signifikanzniveau des Tests: "Lehne H0 ab, wenn k unter n gegebenen
Tests zur Ablehnung führen", 1978; Vovk and Wang, Combining p-values via averaging, 2020).

Which classifier is the best is read from the very answers that it is then compared on. So the
p-values are corrected for all pairs, not for those with the best alone (Holm, A simple sequentially
rejective multiple test procedure, 1979; Demšar, Statistical Comparisons of Classifiers over
Multiple Data Sets, 2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from filmstrip.evaluation.bootstrap import Interval, interval_of_mean
from filmstrip.evaluation.predictions import Bools
from filmstrip.evaluation.significance import mcnemar

SIGNIFICANCE_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class AgainstBest:
    """How a classifier stands to the best one.

    Attributes:
        difference: its accuracy less the best one's.
        interval: 95 % interval of that, whole groups drawn.
        p_value: of McNemar's test, combined over the seeds.
        adjusted_p_value: by Holm's method, for all pairs of classifiers.
    """

    difference: float
    interval: Interval
    p_value: float
    adjusted_p_value: float

    @property
    def is_worse(self) -> bool:
        """Whether it is shown to be worse: by the corrected test, and by the interval, too.

        The test takes clips as independent, which those of one recording are not; the interval
        does not.
        """
        return self.adjusted_p_value < SIGNIFICANCE_LEVEL and self.interval[1] < 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the test answers of one classifier show.

    Attributes:
        accuracy: of all answers under all seeds.
        accuracy_by_seed: of each seed's.
        interval: 95 % interval of ``accuracy``.
        units: what was drawn for it, ``groups`` or ``clips``.
        num_units: how many of them there are.
        against_best: None for the best one.
    """

    accuracy: float
    accuracy_by_seed: tuple[float, ...]
    interval: Interval
    units: str
    num_units: int
    against_best: AgainstBest | None


def rank(
    is_right: Mapping[str, Sequence[Bools]],
    clips: Sequence[Sequence[str]],
    groups: Sequence[Sequence[str]],
) -> dict[str, Standing]:
    """Order classifiers by their accuracy, the best first.

    Args:
        is_right: for each classifier, and for each seed, (N,) whether it answers a test clip
            rightly. All have the same clips in the same order under one seed.
        clips: for each seed the names of those clips, (N,).
        groups: for each seed their groups, (N,).

    Raises:
        ValueError: there is no classifier, or two have not the same clips.
    """
    sizes = [len(names) for names in clips]
    if not is_right or any([len(seed) for seed in seeds] != sizes for seeds in is_right.values()):
        raise ValueError("each classifier needs an answer to each clip under each seed")
    all_groups = [group for seed in groups for group in seed]
    num_clips = len({name for seed in clips for name in seed})
    values = {name: np.concatenate(seeds).astype(np.float64) for name, seeds in is_right.items()}
    order = sorted(is_right, key=lambda name: -values[name].mean())
    best = order[0]
    pairs = list(combinations(order, 2))
    p_values = [
        combined([mcnemar(a, b)[2] for a, b in zip(is_right[first], is_right[second], strict=True)])
        for first, second in pairs
    ]
    tests = dict(zip(pairs, zip(p_values, holm(p_values), strict=True), strict=True))
    answer = {}
    for name in order:
        spread, units = interval_of_mean(values[name], all_groups)
        answer[name] = Standing(
            accuracy=float(values[name].mean()),
            accuracy_by_seed=tuple(float(seed.mean()) for seed in is_right[name]),
            interval=spread,
            units="clips" if units.num_units == num_clips else units.name,
            num_units=units.num_units,
            against_best=None,
        )
        if name != best:
            gain = values[name] - values[best]
            against_best = AgainstBest(
                float(gain.mean()),
                interval_of_mean(gain, all_groups, lowest=-1)[0],
                *tests[best, name],
            )
            answer[name] = replace(answer[name], against_best=against_best)
    return answer


def combined(p_values: Sequence[float]) -> float:
    """One p-value of several tests of one hypothesis, whatever their dependence (Rüger).

    It is the least one that more than half of the tests reach, times their number, over how many
    tests that is; of one test it is its own.
    """
    num_tests = len(p_values)
    more_than_half = num_tests // 2 + 1
    return min(1.0, sorted(p_values)[more_than_half - 1] * num_tests / more_than_half)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number by Holm's step-down method, in the same order."""
    num_tests = len(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = np.array(p_values, dtype=np.float64)[order] * (num_tests - np.arange(num_tests))
    adjusted = np.empty(num_tests)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]
