"""What the model of a folder has learnt from, as far as the run around it is there."""

from __future__ import annotations

from pathlib import Path

from filmstrip.dataset.clip_table import Clip, clips_of, read_clips
from filmstrip.dataset.fingerprint_file import read_fingerprints
from filmstrip.dataset.overlap import Learnt
from filmstrip.dataset.split_file import read_sides
from filmstrip.errors import DatasetError
from filmstrip.training.reporter import Reporter
from filmstrip.training.run_folder import RunFolder


def learnt_by(folder: Path, reporter: Reporter) -> Learnt | None:
    """Return the clips that the model of ``folder`` was trained on or calibrated on.

    Validation clips are among them: they chose the epoch, the temperature and the threshold.

    Args:
        folder: a run folder, the folder of a fold, or the model folder inside one of these.
        reporter: hears where an older version wrote the run.

    Returns:
        The clips; None for a model folder without its run.

    Raises:
        FilmstripError: the run's tables are damaged.
    """
    part = _run_around(folder.absolute())
    if part is None:
        return None
    run = part if part.request_file.is_file() else RunFolder(part.path.parent.parent)
    sides = {
        name: side.split
        for name, side in read_sides(part.splits_file).items()
        if side.split in ("train", "val")
    }
    data = run.request().data
    root = data if data.is_dir() else data.parent
    has_contents = run.clips_file.is_file()
    stored = read_clips(run.clips_file) if has_contents else _read_again(run, reporter)
    clips = {name: stored.get(name, Clip("")) for name in sides}
    return Learnt(clips, sides, root, read_fingerprints(run.fingerprints_file))


def _run_around(folder: Path) -> RunFolder | None:
    """The run, or the fold of a run, that holds the model."""
    for place in (folder, folder.parent if folder.name == "model" else folder):
        part = RunFolder(place)
        is_run = part.request_file.is_file()
        is_fold = (
            place.parent.name == "folds" and RunFolder(place.parent.parent).request_file.is_file()
        )
        if part.splits_file.is_file() and (is_run or is_fold):
            return part
    return None


def _read_again(run: RunFolder, reporter: Reporter) -> dict[str, Clip]:
    """The clips of a run of an older version, which did not store their contents."""
    data = run.request().data
    reporter.note(
        "This run was trained by an older version of Filmstrip, which did not store the contents "
        f"of its clips. They are read again from {data}."
    )
    try:
        return clips_of(run.request().open_index())
    except DatasetError:
        return {}  # the data was moved
