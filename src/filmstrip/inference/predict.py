"""A trained classifier asked about new videos."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from filmstrip.cache import Cache
from filmstrip.dataset.rows import SkippedFile, VideoRow, left_out_summary, not_a_video
from filmstrip.dataset.walk import walk
from filmstrip.errors import DatasetError, NoVideoError
from filmstrip.features.choice import EAGERLY, EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.features.entry import ClipFacts
from filmstrip.features.source import ClipReader
from filmstrip.inference.misfit import misfits
from filmstrip.inference.prediction import Prediction
from filmstrip.inference.reading import carried, chunked
from filmstrip.inference.stream import Stream
from filmstrip.inference.timeline import Timeline
from filmstrip.model.classifier import VideoClassifier, load_classifier
from filmstrip.video.failures import machine_failures
from filmstrip.video.formats import is_video
from filmstrip.video.sampling import RateSampling, sample_indices
from filmstrip.video.spool import local_file, needs_spooling, shown_name


class Predictor:
    """Answers from paths or frames with no other setting than the model's own.

    Args:
        classifier: a trained one, as ``load_classifier`` gives it.
        choice: how the runtime of the backbone is picked.
    """

    def __init__(self, classifier: VideoClassifier, choice: EngineChoice = EAGERLY) -> None:
        self.spec = classifier.spec
        self._engine = Engine(classifier.backbone, choice=choice)
        self._sequence = classifier.sequence.eval()
        self._familiarity = classifier.familiarity
        self._reader = ClipReader(self.spec.sampling, self.spec.framing)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that it tells apart."""
        return self.spec.class_names

    def expect(self, num_frames: float) -> None:
        """Say roughly how many sampled frames are to come: many are worth a fast runtime's start.

        Without it, a runtime is used that was tried before on this machine, or eager PyTorch.
        """
        self._engine.expect(num_frames * len(self.spec.views))

    def expect_clips(self, number: int) -> None:
        """Say that so many clips are to come, of any length."""
        sampling = self.spec.sampling
        if isinstance(sampling, RateSampling):
            self.expect(number * sampling.max_frames)
        else:
            self.expect(number * sampling.num_frames)

    def warm_up(self) -> None:
        """Do now what else the first frame would wait for: pick the runtime and start it."""
        self._engine.warm_up(self.spec.framing.size)

    def predict(self, path: str | Path) -> Prediction:
        """Return the answer to one video.

        Args:
            path: the file; or, as text, an http or https address that has an end, or ``-`` for
                standard input. These are copied to a temporary file first.

        A file that is cut short or breaks midway is answered from what there is of it; ``missing``
        then states what is not.

        Raises:
            VideoError: the file cannot be read.
            ResourceError: it cannot be read now, for example for lack of memory.
        """
        name = shown_name(path) if needs_spooling(path) else Path(path)
        with local_file(path) as file:
            frames, facts = self._reader.read(VideoRow(file, label=""))
            with machine_failures(file):
                answer = self._answer(frames, name)
        return replace(answer, missing=facts.missing, misfits=self._misfits(facts))

    def predict_frames(self, frames: NDArray[np.uint8], frames_per_second: float) -> Prediction:
        """The answer to frames (T, H, W, 3) uint8, RGB, shown at a steady rate.

        Raises:
            NoVideoError: there is no frame, the array has another shape or type, or the rate is 0.
        """
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
            raise NoVideoError(
                f"an array of shape {frames.shape} and type {frames.dtype}",
                "frames of shape (T, H, W, 3) and type uint8, RGB, at least one",
                "convert the array, or give the path of a video file.",
            )
        if not 0 < frames_per_second < np.inf:
            raise NoVideoError(
                f"frames_per_second={frames_per_second}",
                "a frame rate above 0, such as 25 or 29.97",
                "give the number of frames that are shown in one second.",
            )
        times_seconds = np.arange(len(frames)) / frames_per_second
        chosen = sample_indices(self.spec.sampling, times_seconds, len(frames) / frames_per_second)
        answer = self._answer(np.stack([self.spec.framing(frames[i]) for i in chosen]), None)
        height, width = frames.shape[1:3]
        facts = ClipFacts(width, height, len(frames) / frames_per_second, len(frames))
        return replace(answer, misfits=self._misfits(facts))

    def stream(self, memory_seconds: float | None = None, is_chunked: bool = False) -> Stream:
        """Something to push frames into, one after the other, for ever.

        Args:
            memory_seconds: on how much of the past an answer may rest, infinite for all of it; the
                median length of the training clips if not given.
            is_chunked: answer in overlapping windows of that length, which any model can.

        Raises:
            RecipeError: the model cannot be streamed; the error says what to do.
        """
        read = chunked if is_chunked else carried
        method = read(self.spec, self._sequence, memory_seconds)
        return Stream(self.spec, self._engine, self._to_prediction, method)

    def timeline(
        self, window_seconds: float | None = None, answers_stills: bool = False
    ) -> Timeline:
        """What answers long recordings in overlapping windows, whatever the model.

        Args:
            window_seconds: length of a window; the median length of the training clips if not
                given.
            answers_stills: whether a picture that stands still is answered, too.

        Raises:
            RecipeError: the model has no such length by itself, or cannot take one that long.
        """
        return Timeline(
            self.spec,
            self._engine,
            self._sequence,
            window_seconds,
            answers_stills,
            self._familiarity,
        )

    def _misfits(self, facts: ClipFacts) -> tuple[str, ...]:
        seconds = facts.duration_seconds
        return misfits(
            self.spec,
            duration_seconds=seconds,
            frames_per_second=facts.num_frames / seconds if seconds > 0 else None,
            width=facts.width,
            height=facts.height,
        )

    @torch.inference_mode()
    def _answer(self, frames: NDArray[np.uint8], path: Path | str | None) -> Prediction:
        views = self._engine.embed_views(frames, self.spec.views)
        return self._to_prediction(self._sequence.answer(views), views[0].mean(dim=0), path)

    def _to_prediction(
        self, logits: Tensor, clip_features: Tensor, path: Path | str | None = None
    ) -> Prediction:
        """Return the answer that logits (K,) and the clip's mean features (D,) make."""
        check = self._familiarity
        unfamiliar = None if check is None else check.is_unfamiliar(clip_features)
        return Prediction.of_logits(logits, self.spec, path, unfamiliar)


def load(
    folder: str | Path,
    engine: str = "auto",
    cache: Path | None = None,
    note: Callable[[str], None] = lambda _sentence: None,
    warn: Callable[[str], None] = warnings.warn,
) -> Predictor:
    """The classifier of a run folder or a model folder, ready to answer.

    Args:
        folder: where it lies.
        engine: how the backbone is run: a runtime by name, such as ``eager-fp32``, or ``auto`` for
            the fastest in float32, once there is enough to do.
        cache: where trials and graphs are kept; ``default_cache()`` if not given.
        note: hears which runtime was picked.
        warn: receives a sentence if the cache cannot be written; predictions do not need it.

    Raises:
        RunError: the folder holds no model.
        WeightsError: its files are damaged.
        EngineError: the machine has no runtime of that name.
    """
    choice = EngineChoice(engine, Cache.at(cache).engines, note, warn, is_for_answers=True)
    return Predictor(load_classifier(Path(folder)), choice)


@dataclass(frozen=True)
class FoundVideos:
    """The videos that paths name.

    Attributes:
        files: the files that were named, and for each folder all videos below it, in order.
            Addresses, and ``-`` for standard input, are text as they were given.
        skipped: what was left out of the folders, and folders that hold no video, with reasons.
    """

    files: list[Path | str]
    skipped: list[SkippedFile]


def videos_below(paths: Iterable[str | Path]) -> FoundVideos:
    """List the files themselves, and for each folder the videos that training on it would read.

    Raises:
        NoVideoError: there is none at all.
    """
    files: list[Path | str] = []
    skipped: list[SkippedFile] = []
    for source in paths:
        if needs_spooling(source):
            files.append(source)
            continue
        path = Path(source)
        if not path.is_dir():
            files.append(path)
            continue
        try:
            found = walk(path)
        except DatasetError as error:
            skipped.append(SkippedFile(path, error.given, kind="cannot be listed"))
            continue
        videos = sorted(filter(is_video, found.files))
        if not videos:
            reason = "no video in it or below it; check the path"
            skipped.append(SkippedFile(path, reason, kind="without videos"))
        files += videos
        skipped += found.skipped
        skipped += [not_a_video(file) for file in found.files if not is_video(file)]
    if not files:
        others = [file for file in skipped if not file.is_loss]
        raise NoVideoError(
            f"{skipped[0].path}: holds no video",
            "a video file, or a folder with video files in it or below it",
            f"check the path. {left_out_summary(others)}",
        )
    return FoundVideos(files, skipped)
