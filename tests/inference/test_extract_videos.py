from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from filmstrip.errors import FilmstripError, RunError, WeightsError
from filmstrip.inference.extract import extract_videos
from filmstrip.model.weights import load_backbone
from filmstrip.recipes.catalogue import load_recipe
from filmstrip.recipes.recipe import Recipe
from filmstrip.storage import locked
from filmstrip.training.reporter import Advance, Reporter
from filmstrip.training.run_folder import TrainingRequest
from filmstrip.training.train import train
from filmstrip.video.decode import read_clip

QuickRecipe = Callable[..., Recipe]


class InterruptingReporter(Reporter):
    """Ctrl-C after some steps of a phase."""

    def __init__(self, title: str, num_steps: int) -> None:
        self.title = title
        self.num_left = num_steps

    @contextmanager
    def phase(self, title: str, num_steps: int) -> Iterator[Advance]:
        def advance(_words: str) -> None:
            if title == self.title:
                self.num_left -= 1
                if not self.num_left:
                    raise KeyboardInterrupt

        yield advance


def test_videos_without_labels_become_the_features_that_their_frames_have(
    recipe: QuickRecipe, videos: Path, tmp_path: Path
) -> None:
    chosen = recipe("lite-gru")
    done = extract_videos([videos / "left"], chosen, cache=tmp_path / "cache")
    assert (len(done.index), done.kept, done.failed) == (8, "features", ())
    assert (done.extraction.num_computed, done.extraction.num_hits) == (8, 0)
    for row in done.index.rows:
        features = done.store.read(done.extraction[row].keys[0])
        assert features.shape == (10, load_backbone(chosen.backbone, 32, None, 0)[0].num_features)
        assert row.label == ""


@pytest.mark.parametrize("name", ["lite-gru", "cnn-lstm", "mean-linear"])
def test_what_is_in_the_cache_is_what_a_training_then_finds(
    name: str, recipe: QuickRecipe, videos: Path, tmp_path: Path, listener: Reporter
) -> None:
    chosen, cache = recipe(name, "training.epochs=1"), tmp_path / "cache"
    done = extract_videos([videos], chosen, cache=cache)
    assert done.kept == ("frames" if name == "cnn-lstm" else "features")
    train(TrainingRequest(data=videos, recipe=chosen), tmp_path / "run", False, cache, listener)
    taken = ("Extracting features", "Reading frames")
    ((num_clips, words),) = (phase[1:] for phase in listener.phases if phase[0] in taken)
    assert words[-1].startswith(f"{num_clips} cached")


@pytest.mark.parametrize(
    ("phase", "fewest_hits"), [("Extracting features", 8), ("Writing files", 24)]
)
def test_after_ctrl_c_the_next_run_goes_on_and_ends_as_if_nothing_had_happened(
    phase: str, fewest_hits: int, recipe: QuickRecipe, videos: Path, tmp_path: Path
) -> None:
    chosen, out = recipe("lite-gru"), tmp_path / "out"
    cache = tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        extract_videos([videos], chosen, out, cache=cache, reporter=InterruptingReporter(phase, 15))
    assert not (out / "index.csv").exists()
    done = extract_videos([videos], chosen, out, cache=cache)
    assert done.extraction.num_hits >= fewest_hits
    assert done.extraction.num_hits + done.extraction.num_computed == 24
    untouched = tmp_path / "untouched"
    extract_videos([videos], chosen, untouched, cache=cache)
    for path in untouched.rglob("*.*"):
        assert (out / path.relative_to(untouched)).read_bytes() == path.read_bytes()


def test_given_weights_decide_the_features(
    recipe: QuickRecipe, videos: Path, tmp_path: Path
) -> None:
    chosen = recipe("cnn-lstm")
    backbone, _ = load_backbone(chosen.backbone, chosen.framing.size, None, seed=7)
    weights, out = tmp_path / "weights.pt", tmp_path / "out"
    torch.save(backbone.trunk.state_dict(), weights)
    extract_videos([videos / "up"], chosen, out, weights=weights, engine="eager-fp32")
    frames = read_clip(videos / "up" / "up_3.mp4", chosen.sampling, chosen.framing).frames
    with torch.inference_mode():
        pixels = backbone.normalise(torch.from_numpy(frames).permute(0, 3, 1, 2))
        expected = backbone.eval()(pixels).numpy()
    found = np.load(out / "up_3.mp4.npy")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["cnn-lstm", "resnet50-gru"])
def test_a_backbone_that_has_learnt_nothing_gives_no_files(
    name: str, videos: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="trained from scratch") as caught:
        extract_videos([videos], load_recipe(name), tmp_path / "out")
    assert "--weights" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_features_of_random_weights_come_with_a_warning(
    recipe: QuickRecipe, videos: Path, listener: Reporter
) -> None:
    chosen = recipe("lite-gru", "backbone.weights=none")
    extract_videos([videos / "left"], chosen, reporter=listener)
    assert any(note.startswith("WARNING") and "RANDOM" in note for note in listener.notes)


def test_a_folder_in_use_is_refused(recipe: QuickRecipe, videos: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "out"), pytest.raises(RunError, match="another Filmstrip process"):
        extract_videos([videos], recipe("lite-gru"), tmp_path / "out")


def test_files_that_an_earlier_run_left_are_told_of(
    recipe: QuickRecipe, own_videos: Path, tmp_path: Path, listener: Reporter
) -> None:
    chosen, out = recipe("lite-gru"), tmp_path / "out"
    extract_videos([own_videos], chosen, out)
    (own_videos / "left" / "left_0.mp4").unlink()
    extract_videos([own_videos], chosen, out, reporter=listener)
    assert any(note.startswith(f"1 files in {out}") for note in listener.notes)


def test_without_pyarrow_parquet_is_refused_before_anything_is_done(
    recipe: QuickRecipe, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FilmstripError, match="pyarrow"):
        extract_videos([videos], recipe("lite-gru"), tmp_path / "out", "parquet")
    assert not (tmp_path / "out").exists()
