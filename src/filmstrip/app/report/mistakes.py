"""The clips that a run answered wrongly with most confidence, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass

from filmstrip.app.report.clips import small_clip
from filmstrip.app.report.record import Record
from filmstrip.errors import FilmstripError
from filmstrip.training.reporter import Advance

MOST_MISTAKES = 12


@dataclass(frozen=True, slots=True)
class ShownMistake:
    """A wrong answer.

    Attributes:
        name: of the clip.
        truth: its class.
        predicted: the class it was told as.
        confidence: the probability of ``predicted``.
        prob_of_truth: the probability of ``truth``.
        abstains: whether the model would rather not have answered.
        fold: whose classifier answered; empty without folds.
        mp4: the clip, small; empty where it cannot be shown.
        words: on the clip's size and duration, or on why it cannot be shown.
    """

    name: str
    truth: str
    predicted: str
    confidence: float
    prob_of_truth: float
    abstains: bool
    fold: str
    mp4: bytes
    words: str


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The worst mistakes, the worst first, and how many there are in all."""

    shown: list[ShownMistake]
    num_mistakes: int

    @property
    def num_without_clip(self) -> int:
        """How many of those shown could not be read again."""
        return sum(not mistake.mp4 for mistake in self.shown)


def worst_mistakes(record: Record, advance: Advance) -> Mistakes:
    """The mistakes of the part that the figures are about, with small copies of the clips.

    Args:
        record: the run.
        advance: called after each clip.
    """
    wrong = [
        row
        for row in record.predictions
        if row["split"] == record.split and row["predicted"] != row["label"]
    ]
    wrong.sort(key=lambda row: (-float(row["confidence"]), row["path"]))
    shown = []
    for row in wrong[:MOST_MISTAKES]:
        shown.append(_shown(record, row))
        advance(row["path"])
    return Mistakes(shown, len(wrong))


def _shown(record: Record, row: dict[str, str]) -> ShownMistake:
    try:
        clip = small_clip(record.row(row["path"]))
        mp4, words = clip.mp4, clip.words
    except FilmstripError as error:
        mp4, words = b"", f"The clip cannot be shown: {error.given}."
    return ShownMistake(
        name=row["path"],
        truth=row["label"],
        predicted=row["predicted"],
        confidence=float(row["confidence"]),
        prob_of_truth=float(row[f"prob_{row['label']}"]),
        abstains=row.get("abstains") == "yes",
        fold=row["fold"],
        mp4=mp4,
        words=words,
    )
