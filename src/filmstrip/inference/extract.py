"""Features of videos without a classifier: into the cache, and from there into plain files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filmstrip.cache import Cache
from filmstrip.dataset.index import VideoIndex
from filmstrip.dataset.layout import ClassFolders
from filmstrip.dataset.rows import UNREADABLE, SkippedFile, VideoRow
from filmstrip.dataset.videos import list_videos
from filmstrip.errors import VideoError, WeightsError
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.features.export import ExportSettings, FeatureFolder, stored_sampling
from filmstrip.features.extract import Extractor
from filmstrip.features.extraction import Extraction
from filmstrip.features.fitting import fitted_recipe
from filmstrip.features.plain_files import FileFormat, check_installed
from filmstrip.features.source import ClipReader
from filmstrip.features.store import FeatureStore
from filmstrip.model.weights import load_backbone, must_learn_first
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import locked
from filmstrip.training.reporter import Reporter
from filmstrip.video.auto_sampling import AutoSampling
from filmstrip.video.spool import local_file, needs_spooling, shown_name
from filmstrip.video.transforms import View


@dataclass(frozen=True, slots=True)
class ExtractedVideos:
    """What an extraction found and did.

    ``store.read(extraction[row].keys[0])`` gives the features (T, D) of a row of ``index``.

    Attributes:
        index: the clips that were asked for.
        extraction: where each lies in the store, and which could not be read.
        store: holds them.
        kept: what it holds: ``features``, or ``frames`` (T, S, S, 3) uint8 for a network that is
            trained from these.
        seconds: how long it all took.
    """

    index: VideoIndex
    extraction: Extraction
    store: FeatureStore
    kept: Literal["features", "frames"]
    seconds: float

    @property
    def num_videos(self) -> int:
        """The number of videos that were found or named."""
        return len(self.index) + sum(file.is_loss for file in self.index.skipped)

    @property
    def failed(self) -> tuple[SkippedFile, ...]:
        """What could not be read, and why."""
        return (*(file for file in self.index.skipped if file.is_loss), *self.extraction.skipped)


def extract_videos(
    videos: Sequence[Path | str],
    recipe: Recipe,
    out: Path | None = None,
    file_format: FileFormat = "npy",
    weights: Path | None = None,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    engine: str = "auto",
    class_folders: ClassFolders = "auto",
    keep_incomplete: bool = True,
) -> ExtractedVideos:
    """Run a recipe's backbone over videos; they need no labels.

    Each clip becomes features (T, D) float32: T frames as ``recipe.sampling`` says, D numbers as
    ``recipe.backbone`` gives. ``filmstrip.features.export`` tells what ``out`` then holds.

    Args:
        videos: files, folders, CSVs with the column path, packed files; as text also http and
            https addresses of files, and ``-`` for standard input.
        recipe: its sampling, framing, backbone and ``training.views`` decide the features.
        out: where to write plain files. Without it, the cache is filled with what a training of
            the recipe reads: features, or frames where the backbone learns too.
        file_format: ``npy``, ``safetensors`` or ``parquet``.
        weights: the backbone's own weights, if not those that the recipe names.
        cache: the feature cache; ``default_cache()`` if not given.
        reporter: hears of progress.
        engine: how the backbone is run; ``auto`` measures what is fastest.
        class_folders: which folders are the classes, in folders of folders.
        keep_incomplete: take what there is of videos that are cut short or break midway; else leave
            them out.

    Raises:
        FilmstripError: bad videos, recipe, weights or folder; what was computed is kept.
        KeyboardInterrupt: Ctrl-C; likewise.
    """
    start = time.monotonic()
    reporter = reporter or Reporter()
    places = Cache.at(cache)
    store = FeatureStore(places.features)
    is_untaught = must_learn_first(recipe.backbone, weights)
    if out is not None:
        check_installed(file_format)
        if is_untaught:
            raise _untaught(recipe)
    with ExitStack() as copies:
        index = _listed(videos, class_folders, copies, reporter)
        if index.reading:
            reporter.note(f"{index.reading}.")
        recipe = _fitted(recipe, index, out, reporter)
        backbone, origin = load_backbone(
            recipe.backbone, recipe.framing.size, weights, recipe.training.seed
        )
        has_features = out is not None or (backbone.is_frozen and not is_untaught)
        if has_features:
            reporter.note(f"{backbone.num_features} features for each frame; weights: {origin}.")
            if origin == "random":
                reporter.note(
                    "WARNING: the backbone's weights are RANDOM, and so are the features."
                )
        choice = EngineChoice(engine, places.engines, reporter.note, reporter.note)
        runner = Engine(backbone, choice=choice) if has_features else None
        if out is None:
            extraction = _extract(
                index, recipe, recipe.extracted_views, runner, store, keep_incomplete, reporter
            )
        else:
            settings = ExportSettings(
                root=index.root,
                file_format=file_format,
                sampling=recipe.fixed_sampling,
                framing=recipe.framing,
                backbone=recipe.backbone,
                weights_origin=origin,
                views=recipe.training.views,
                num_features=backbone.num_features,
            )
            folder = FeatureFolder(out, settings)
            with locked(out):
                folder.start()
                views = recipe.training.views
                extraction = _extract(
                    index, recipe, views, runner, store, keep_incomplete, reporter
                )
                _write(folder, index, extraction, store, reporter)
        kept: Literal["features", "frames"] = "features" if has_features else "frames"
        return ExtractedVideos(index, extraction, store, kept, time.monotonic() - start)


def _fitted(recipe: Recipe, index: VideoIndex, out: Path | None, reporter: Reporter) -> Recipe:
    """The recipe with the sampling that fits the clips, or that its folder of features began with.

    Features of videos that are added later must be sampled as the others are.
    """
    stored = stored_sampling(out) if out is not None else None
    if isinstance(recipe.sampling, AutoSampling) and stored is not None:
        reporter.note(f"Sampling: {stored!r}, as {out} began with.")
        return recipe.model_copy(update={"sampling": stored})
    return fitted_recipe(recipe, index.rows, reporter.note)


def _listed(
    videos: Sequence[Path | str],
    class_folders: ClassFolders,
    copies: ExitStack,
    reporter: Reporter,
) -> VideoIndex:
    """Index local videos, and copies of the others that last until ``copies`` is closed."""
    local = [Path(video) for video in videos if not needs_spooling(video)]
    rows, skipped = [], []
    for source in dict.fromkeys(video for video in videos if needs_spooling(video)):
        name = shown_name(source)
        try:
            path = copies.enter_context(local_file(source, reporter.note))
        except VideoError as error:
            if len(videos) == 1:
                raise
            skipped.append(SkippedFile(Path(name), str(error), kind=UNREADABLE, source=name))
        else:
            rows.append(VideoRow(path, "", source=name))
    index = list_videos(local, class_folders) if local else VideoIndex(Path.cwd(), (), "")
    return replace(index, rows=(*index.rows, *rows), skipped=(*index.skipped, *skipped))


def _named_by_source(files: list[SkippedFile], index: VideoIndex) -> list[SkippedFile]:
    """Return the same files, with the address in place of its temporary copy."""
    sources = {row.path: row.source for row in index.rows if row.source}
    return [
        replace(
            file,
            reason=file.reason.replace(str(file.path), sources[file.path]),
            source=sources[file.path],
        )
        if file.path in sources
        else file
        for file in files
    ]


def _extract(
    index: VideoIndex,
    recipe: Recipe,
    views: tuple[View, ...],
    engine: Engine | None,
    store: FeatureStore,
    keep_incomplete: bool,
    reporter: Reporter,
) -> Extraction:
    reader = ClipReader(recipe.fixed_sampling, recipe.framing)
    extractor = Extractor(store, reader, engine, views, recipe.backbone.name, keep_incomplete)
    title = "Extracting features" if engine else "Reading frames"
    with reporter.phase(title, len(index)) as advance:
        extraction = extractor.run(index.rows, advance)
    extraction.skipped = _named_by_source(extraction.skipped, index)
    extraction.unavailable = _named_by_source(extraction.unavailable, index)
    return extraction


def _write(
    folder: FeatureFolder,
    index: VideoIndex,
    extraction: Extraction,
    store: FeatureStore,
    reporter: Reporter,
) -> None:
    with reporter.phase("Writing files", len(extraction.clips)) as advance:
        num_left_over = folder.write(index, extraction, store, advance)
    if num_left_over:
        reporter.note(
            f"{num_left_over} files in {folder.path} are from clips that were not among the videos "
            f"this time, or could not be read; {folder.index_file.name} does not name them."
        )


def _untaught(recipe: Recipe) -> WeightsError:
    return WeightsError(
        f"recipe {recipe.name}: its backbone is trained from scratch, so without a training it has "
        "no features to give",
        "a backbone with weights",
        "give --weights FILE, or a backbone with ImageNet weights (--backbone resnet50); without "
        "--out, the frames that its training reads are put into the cache.",
    )
