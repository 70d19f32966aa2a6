"""What a training is asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from filmstrip.dataset.doctor.quarantine import leave_out
from filmstrip.dataset.index import VideoIndex, open_index
from filmstrip.dataset.layout import ClassFolders
from filmstrip.dataset.lost import check_no_class_is_lost
from filmstrip.model.specs import Spec
from filmstrip.recipes.recipe import Recipe

AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
"""A path that means the same wherever the run is taken up again."""


class TrainingRequest(Spec):
    """What a training was asked to do; a resumed one must be asked the same.

    Attributes:
        data: the folder, CSV or packed file of labelled clips.
        recipe: with all overrides.
        weights: the backbone's weights, if the user named a file.
        num_folds: folds of the cross-validation; 0 for one split.
        lists: folder of the official lists, if any.
        list_number: which of them.
        group_pattern: regular expression that finds groups in names, if any.
        splits: a splits.csv to use again, if any.
        quarantine: a list of files to leave out, if any.
        near_duplicates: decode all clips to find copies and cut recordings.
        keep_incomplete: train on what there is of clips that are cut short or break midway.
        allow_leak: train on a given split that leaks, and mark every figure.
        division: ``given`` honours the splits of the data; ``grouped`` and ``random`` set them
            aside, and divide by groups or clip by clip, to measure what the second lets through.
        class_folders: which folders are the classes; ``auto`` goes by their names.
        allow_missing_classes: train without the classes of which no clip can be used.
    """

    data: AbsolutePath
    recipe: Recipe
    weights: AbsolutePath | None = None
    num_folds: int = 0
    lists: AbsolutePath | None = None
    list_number: int = 1
    group_pattern: str | None = None
    splits: AbsolutePath | None = None
    quarantine: AbsolutePath | None = None
    near_duplicates: bool = True
    keep_incomplete: bool = False
    allow_leak: bool = False
    division: Literal["given", "grouped", "random"] = "given"
    class_folders: ClassFolders = "auto"
    allow_missing_classes: bool = False

    def open_index(self) -> VideoIndex:
        """The clips that ``data`` names."""
        return open_index(
            self.data,
            lists=self.lists,
            list_number=self.list_number,
            group_pattern=self.group_pattern,
            class_folders=self.class_folders,
        )

    def wanted_index(self) -> VideoIndex:
        """The same clips without those in quarantine, which stand among its skipped.

        Raises:
            DatasetError: a class is lost, and that is not allowed.
        """
        index = self.open_index()
        if self.quarantine is not None:
            index = leave_out(index, self.quarantine)
        check_no_class_is_lost(index, self.allow_missing_classes)
        return index

    def changes(self, other: TrainingRequest) -> list[str]:
        """The names of the settings in which ``other`` differs."""
        names = type(self).model_fields
        return [name for name in names if getattr(self, name) != getattr(other, name)]
