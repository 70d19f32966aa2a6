"""How the clips of a run are divided, so that what belongs together stays on one side.

The clips are compared before anything else is computed: a given split that leaks is refused before
it costs an hour, and before the run folder exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filmstrip.cache import Cache
from filmstrip.dataset.doctor.fingerprints import Fingerprint
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.leaks import LeakingPair, leak_record, leaking_pairs, refuse
from filmstrip.dataset.relations import (
    Relations,
    apart,
    find_relations,
    group_relations,
    join_groups,
)
from filmstrip.dataset.split import fold_splits, split_index
from filmstrip.dataset.split_file import read_splits
from filmstrip.training.feasibility import is_divided_anew
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import TrainingRequest

MOST_PAIRS_RECORDED = 1000
"""How many pairs stand in ``metrics.json``; all of them are in ``leaks.csv``."""


class Division:
    """Splits and folds of one run, and the leaks in those that were given.

    Args:
        request: what the run was asked.
        index: all clips, whether they can be read or not.
        cache: keeps fingerprints of videos.
        reporter: hears what was found.
        refused: where the pairs go if the given split is refused.

    Raises:
        DatasetError: the given split leaks, and that is not allowed.
    """

    def __init__(
        self,
        request: TrainingRequest,
        index: VideoIndex,
        cache: Cache,
        reporter: Reporter,
        refused: Path,
    ) -> None:
        self.request = request
        self._refused = refused
        self.relations = _relations(request, index, cache, reporter)
        reporter.note(self.relations.told())
        self._groupings = [dict(zip(index.names, index.groups, strict=True))]
        if request.splits is not None and not self._sets_given_aside:
            index = read_splits(request.splits, index, may_miss=True)
            self._groupings.append(dict(zip(index.names, index.groups, strict=True)))
        if not self._sets_given_aside:
            self.leaks(index)

    def split(self, index: VideoIndex) -> VideoIndex:
        """The split of the run; a given one stays, but for what it leaves open."""
        recipe = self.request.recipe
        if self._sets_given_aside:
            index = index.with_splits([""] * len(index))
        elif self.request.splits is not None:
            # The file may name clips that have turned out to be unreadable.
            given = read_splits(self.request.splits, index, may_name_others=True)
            return join_groups(given, self.relations.found)
        fractions = recipe.split.val_fraction, recipe.split.test_fraction
        return split_index(self._grouped(index), recipe.training.seed, *fractions)

    def folds(self, index: VideoIndex) -> list[VideoIndex]:
        """One split for each fold; given ones are set aside."""
        recipe = self.request.recipe
        return fold_splits(
            self._grouped(index),
            self.request.num_folds,
            recipe.training.seed,
            recipe.split.val_fraction,
        )

    def all_but_val(self, index: VideoIndex) -> VideoIndex:
        """A split without a test part, for the model that is used after the folds."""
        recipe = self.request.recipe
        unsplit = self._grouped(index).with_splits([""] * len(index))
        return split_index(unsplit, recipe.training.seed, recipe.split.val_fraction, 0.0)

    def leaks(self, index: VideoIndex) -> list[LeakingPair]:
        """The pairs of clips that the split of ``index`` parts though they belong together.

        Raises:
            DatasetError: there are some, and the request allows none.
        """
        found = list(self.relations.found)
        sides = [row.split for row in index.rows]
        for grouping in self._groupings:
            if any(sides):
                found += group_relations(_with_groups(index, grouping), sides)
        pairs = leaking_pairs(_with_groups(index, self._groupings[0]), found)
        if pairs and not self._allows_leaks:
            refuse(pairs, index, self._refused)
        return pairs

    def record(self, pairs: Sequence[LeakingPair]) -> dict[str, Any]:
        """What ``metrics.json`` says of the leaks in the splits of a run, each pair once."""
        once = list({(pair.first, pair.second): pair for pair in pairs}.values())
        checked = self.relations.checked
        return leak_record(once, checked, self._allows_leaks, MOST_PAIRS_RECORDED)

    def take_fingerprints(self) -> Mapping[str, Fingerprint]:
        """Return the clips' fingerprints by content, once: they need not stay in memory."""
        found = self.relations.fingerprints
        self.relations = replace(self.relations, fingerprints={})
        return found

    @property
    def _allows_leaks(self) -> bool:
        return self.request.allow_leak or self.request.division == "random"

    @property
    def _sets_given_aside(self) -> bool:
        return is_divided_anew(self.request)

    def _grouped(self, index: VideoIndex) -> VideoIndex:
        if self.request.division == "random":
            return apart(index)
        return join_groups(index, self.relations.found)


def _relations(
    request: TrainingRequest, index: VideoIndex, cache: Cache, reporter: Reporter
) -> Relations:
    if not request.near_duplicates:
        return find_relations(index, cache, by_sight=False)
    with reporter.phase("Comparing clips", len(index)) as advance:
        return find_relations(index, cache, advance=advance, warn=reporter.note)


def _with_groups(index: VideoIndex, group_of: dict[str, str]) -> VideoIndex:
    """The clips in other groups; one that has none there is its own."""
    rows = tuple(
        replace(row, group=group_of.get(name, name))
        for row, name in zip(index.rows, index.names, strict=True)
    )
    return replace(index, rows=rows)
