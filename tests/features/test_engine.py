from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from filmstrip.errors import EngineError
from filmstrip.features.choice import EngineChoice
from filmstrip.features.engine import Engine
from filmstrip.features.fingerprint import fingerprint
from filmstrip.features.kept_graph import start_kept
from filmstrip.features.runtimes import Runtime, start
from filmstrip.features.trial import LEAST_COSINE, least_cosine
from filmstrip.model.backbone import Backbone, build_backbone
from filmstrip.model.specs import BackboneSpec, ConvNetSpec, TimmBackboneSpec

LITE0 = TimmBackboneSpec(name="tf_efficientnet_lite0", stage=2, grid=2, weights="none")


def seeded(spec: BackboneSpec, seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    return build_backbone(spec, input_size=32)


def frames_of(num_frames: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num_frames, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("num_frames", [1, 4, 5])
def test_features_do_not_depend_on_the_size_of_a_pass(num_frames: int) -> None:
    frames = frames_of(num_frames)
    backbone = seeded(LITE0)
    together = Engine(backbone, batch_size=4).embed(frames)
    one_by_one = [Engine(backbone).embed(frames[i : i + 1]) for i in range(num_frames)]
    assert together.shape == (num_frames, backbone.num_features)
    torch.testing.assert_close(together, torch.cat(one_by_one), rtol=1e-4, atol=1e-4)


def test_features_are_those_of_the_plain_backbone_in_evaluation() -> None:
    frames = frames_of(3)
    backbone = seeded(LITE0).train()
    embedded = Engine(backbone).embed(frames)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    with torch.no_grad():
        expected = seeded(LITE0).eval()((pixels - mean) / std)
    torch.testing.assert_close(embedded, expected, rtol=1e-4, atol=1e-4)
    assert embedded.dtype == torch.float32
    assert not embedded.requires_grad


def test_no_frames_give_no_features() -> None:
    engine = Engine(seeded(LITE0))
    assert engine.embed(frames_of(3)[:0]).shape == (0, engine.num_features)


def test_the_fingerprint_is_the_same_for_the_same_network() -> None:
    assert fingerprint(seeded(LITE0)) == fingerprint(seeded(LITE0))


@pytest.mark.parametrize(
    "other",
    [
        LITE0.model_copy(update={"stage": 3}),
        LITE0.model_copy(update={"grid": 1}),
        ConvNetSpec(channels=(4, 8)),
    ],
    ids=["stage", "grid", "network"],
)
def test_the_fingerprint_differs_for_another(other: BackboneSpec) -> None:
    assert fingerprint(seeded(LITE0)) != fingerprint(seeded(other))


def test_the_fingerprint_differs_for_other_weights_even_in_one_number() -> None:
    backbone = seeded(LITE0)
    before = fingerprint(backbone)
    assert before != fingerprint(seeded(LITE0, seed=1))
    with torch.no_grad():
        next(backbone.trunk.parameters())[0, 0, 0, 0] += 1e-3
    assert fingerprint(backbone) != before


def test_the_fingerprint_counts_what_batch_normalisation_has_seen() -> None:
    backbone = seeded(ConvNetSpec(channels=(4, 8)))
    before = fingerprint(backbone)
    backbone.train()(torch.rand(4, 3, 32, 32))
    assert fingerprint(backbone) != before


CPU = torch.device("cpu")


@pytest.mark.parametrize("lengths", [[3, 5, 1], [16], [7, 40], [1] * 9, []])
def test_clips_of_any_length_get_their_own_features_back_in_order(lengths: list[int]) -> None:
    engine = Engine(seeded(LITE0), CPU, batch_size=8)
    clips = [(str(place), frames_of(length)) for place, length in enumerate(lengths)]
    embedded = list(engine.embed_clips(clips))
    assert [mark for mark, _ in embedded] == [mark for mark, _ in clips]
    for (_, features), (_, frames) in zip(embedded, clips, strict=True):
        torch.testing.assert_close(features, engine.embed(frames), rtol=1e-4, atol=1e-4)


def test_a_runtime_built_for_full_batches_takes_any_number_of_frames(tmp_path: Path) -> None:
    backbone = seeded(LITE0)
    choice = EngineChoice("openvino-fp32", tmp_path)
    engine = Engine(backbone, CPU, batch_size=4, choice=choice)
    frames = frames_of(6)
    torch.testing.assert_close(
        engine.embed(frames), Engine(backbone, CPU).embed(frames), rtol=1e-3, atol=1e-3
    )
    assert engine.embed(frames[:1]).shape == (1, backbone.num_features)


def test_little_work_is_begun_at_once_without_a_trial(tmp_path: Path) -> None:
    said: list[str] = []
    engine = Engine(seeded(LITE0), CPU, 4, EngineChoice("auto", tmp_path, said.append))
    assert len(list(engine.embed_clips([("a", frames_of(8))], lambda: 8))) == 1
    assert engine.runtime.name == "eager-fp32"
    assert not said
    assert not list(tmp_path.iterdir())


def test_much_work_is_worth_a_trial_which_is_remembered(tmp_path: Path) -> None:
    said: list[str] = []

    def embed() -> Engine:
        engine = Engine(seeded(LITE0), CPU, 4, EngineChoice("auto", tmp_path, said.append))
        ((_, features),) = engine.embed_clips([("a", frames_of(8))], lambda: 10**4)
        expected = Engine(seeded(LITE0), CPU).embed(frames_of(8))
        assert torch.cosine_similarity(features, expected, dim=1).min() > 0.99
        return engine

    first = embed()
    (book,) = tmp_path.glob("*.json")
    written = book.read_bytes()
    second = embed()
    assert first.runtime == second.runtime
    assert book.read_bytes() == written
    found = [sentence for sentence in said if not sentence.startswith("Trying ")]
    assert len(found) == 2
    assert all(sentence.startswith(f"Engine: {first.runtime.name}, ") for sentence in found)
    assert all("least cosine of its features to float32's: " in sentence for sentence in found)
    assert len(said) - len(found) <= 1  # announced once, and not where it is remembered


def test_frames_whose_features_leave_the_range_of_fp16_are_computed_in_fp32() -> None:
    backbone = seeded(ConvNetSpec(channels=(4, 8)))
    with torch.no_grad():
        backbone.trunk[-1][1].weight.fill_(1e5)  # of the last batch normalisation
    frames = frames_of(6)
    engine = Engine(backbone, CPU, batch_size=4)
    engine.starter.runtime = Runtime("eager", "fp16")
    assert (
        not start(engine.runtime, backbone, CPU, torch.from_numpy(frames))(torch.from_numpy(frames))
        .isfinite()
        .all()
    )
    torch.testing.assert_close(engine.embed(frames), Engine(backbone, CPU).embed(frames))


class Hungry(torch.nn.Module):
    """Has memory for so many frames at a time."""

    def __init__(self, most_frames: int) -> None:
        super().__init__()
        self.most_frames = most_frames

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        if len(frames) > self.most_frames:
            raise torch.OutOfMemoryError("more than there is")
        return frames


@pytest.mark.parametrize("name", ["eager-fp32", "auto"])
def test_what_memory_does_not_hold_is_done_in_smaller_passes(name: str, tmp_path: Path) -> None:
    said: list[str] = []
    backbone = Backbone(Hungry(3), 3, 1, (0.5,) * 3, (0.5,) * 3, 32, trainable=0)
    engine = Engine(backbone, CPU, 8, EngineChoice(name, tmp_path, said.append))
    clips = [(0, frames_of(5)), (1, frames_of(30))]
    embedded = dict(engine.embed_clips(clips, lambda: 10**3))
    assert engine.batch_size == 2
    assert said[-1].endswith("in passes of 2 frames.") or said[-1].startswith("Engine: ")
    expected = Engine(backbone, CPU, 1).embed(frames_of(30))
    if engine.starter.runtime.precision == "fp32":
        torch.testing.assert_close(embedded[1], expected)
    else:  # a processor with units for it: the trial took a lower precision
        assert least_cosine(embedded[1], expected) >= LEAST_COSINE


def test_a_frame_that_memory_does_not_hold_is_an_error_that_says_what_to_do() -> None:
    backbone = Backbone(Hungry(0), 3, 1, (0.5,) * 3, (0.5,) * 3, 32, trainable=0)
    with pytest.raises(EngineError, match="does not hold one frame's pass"):
        Engine(backbone, CPU).embed(frames_of(3))


def test_an_unknown_engine_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="--engine tensorrt-int1"):
        Engine(seeded(LITE0), CPU, choice=EngineChoice("tensorrt-int1", tmp_path))


def _for_answers(folder: Path, said: list[str]) -> Engine:
    choice = EngineChoice("auto", folder, said.append, is_for_answers=True)
    return Engine(seeded(LITE0), torch.device("cpu"), choice=choice)


def test_answers_run_eagerly_until_a_faster_runtime_was_worth_its_trial(tmp_path: Path) -> None:
    said: list[str] = []
    few = _for_answers(tmp_path, said)
    expected = few.embed(frames_of(3))
    assert (few.runtime.name, said, list(tmp_path.iterdir())) == ("eager-fp32", [], [])
    many = _for_answers(tmp_path, said)
    many.expect(1e9)
    torch.testing.assert_close(many.embed(frames_of(3)), expected, rtol=1e-4, atol=1e-4)
    assert set(many.trials) == {"eager-fp32", "onnxruntime-fp32"}
    assert [sentence.split()[0] for sentence in said] == ["Trying", "Engine:"]
    assert len(list(tmp_path.glob("*.onnx"))) == 1


def test_what_was_tried_is_used_for_a_lone_frame_too_and_starts_from_the_kept_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _for_answers(tmp_path, [])
    first.expect(1e9)
    first.embed(frames_of(4))
    fastest = max(first.trials.values(), key=lambda trial: trial.frames_per_second)
    monkeypatch.setattr("filmstrip.features.kept_graph.onnx_graph", None)  # exports no more
    later = _for_answers(tmp_path, [])
    features = later.embed(frames_of(1))
    assert later.runtime.name == fastest.runtime
    torch.testing.assert_close(
        features, Engine(seeded(LITE0)).embed(frames_of(1)), rtol=1e-4, atol=1e-4
    )


def test_engine_answers_without_a_cache_and_warns_once(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file where a folder is expected")
    warnings: list[str] = []
    choice = EngineChoice(
        "auto", tmp_path / "cache" / "engines", warn=warnings.append, is_for_answers=True
    )
    engine = Engine(seeded(LITE0), torch.device("cpu"), choice=choice)
    engine.expect(1e9)
    features = engine.embed(frames_of(3))
    assert set(engine.trials) == {"eager-fp32", "onnxruntime-fp32"}
    assert not engine.trials["onnxruntime-fp32"].failure
    torch.testing.assert_close(
        features, Engine(seeded(LITE0)).embed(frames_of(3)), rtol=1e-4, atol=1e-4
    )
    assert len(warnings) == 1


@pytest.mark.parametrize("damage", ["cut short", "changed", "unreadable"])
def test_damaged_kept_graph_is_made_again(damage: str, tmp_path: Path) -> None:
    backbone = seeded(LITE0)
    batch = torch.from_numpy(frames_of(2))
    start_kept(backbone, "network", batch, tmp_path, pytest.fail)
    (path,) = tmp_path.glob("*.onnx")
    whole = path.read_bytes()
    if damage == "unreadable":
        path.unlink()
        path.mkdir()
    else:
        middle = len(whole) // 2
        changed = bytes([whole[middle] ^ 1]) + whole[middle + 1 :] if damage == "changed" else b""
        path.write_bytes(whole[:middle] + changed)
    warnings: list[str] = []
    run = start_kept(backbone, "network", batch, tmp_path, warnings.append)
    expected = Engine(backbone).embed(frames_of(2))
    torch.testing.assert_close(run(batch), expected, rtol=1e-4, atol=1e-4)
    assert len(warnings) == (damage == "unreadable")


class Greedy(torch.nn.Module):
    """A network whose pass of more than two frames the processor's memory does not hold."""

    def forward(self, frames: torch.Tensor) -> list[torch.Tensor]:
        if len(frames) > 2:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return [frames]


def test_engine_halves_passes_that_the_processor_cannot_hold() -> None:
    said: list[str] = []
    backbone = Backbone(Greedy(), 3, 1, (0.5,) * 3, (0.5,) * 3, 32, trainable=0)
    engine = Engine(backbone, CPU, 8, EngineChoice("eager-fp32", Path(), said.append))
    assert engine.embed(frames_of(5)).shape == (5, 3)
    assert engine.batch_size == 2
    assert said[-1].endswith("in passes of 2 frames.")
