from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from filmstrip.inference.exporting.formats import Run, opened, write
from filmstrip.inference.exporting.frame_network import FrameNetwork
from filmstrip.inference.exporting.graphs import frame_graph, sample_graph
from filmstrip.inference.exporting.sample_network import SampleNetwork
from filmstrip.model.specs import ClassifierSpec, ConvNetSpec, MeanLinearHeadSpec, ScalerSpec
from filmstrip.video.sampling import RateSampling, Sampling, UniformSampling, sample_indices
from filmstrip.video.transforms import Framing

FITS = ["stretch", "crop", "pad"]
SIDES = st.one_of(st.integers(1, 12), st.integers(1, 300))
SAMPLINGS = [
    UniformSampling(num_frames=6),
    UniformSampling(num_frames=6, short="repeat"),
    UniformSampling(num_frames=1),
    RateSampling(frames_per_second=8, max_frames=20),
    RateSampling(frames_per_second=29.97, max_frames=1),
]


def _picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _spec(sampling: Sampling, framing: Framing) -> ClassifierSpec:
    return ClassifierSpec(
        class_names=("a", "b"),
        sampling=sampling,
        framing=framing,
        backbone=ConvNetSpec(),
        scaler=ScalerSpec(),
        head=MeanLinearHeadSpec(),
    )


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(1, 64), st.sampled_from(FITS))
def test_the_frame_network_makes_the_square_that_framing_makes(
    height: int, width: int, size: int, fit: str
) -> None:
    framing = Framing(size=size, fit=fit)
    picture = _picture(height, width)
    found = FrameNetwork(framing)(torch.from_numpy(picture))
    np.testing.assert_array_equal(found.numpy(), framing(picture))


@pytest.mark.parametrize("fit", FITS)
def test_in_onnx_runtime_it_is_the_same_to_the_last_bit(fit: str, tmp_path: Path) -> None:
    framing = Framing(size=48, fit=fit)
    spec = _spec(SAMPLINGS[0], framing)
    write(frame_graph(spec), spec, "onnx", tmp_path / "frame.onnx")
    run = opened(tmp_path / "frame.onnx")
    for height, width in [(240, 320), (720, 1280), (48, 48), (48, 90), (1, 1), (1, 70), (333, 2)]:
        picture = _picture(height, width)
        (found,) = run([torch.from_numpy(picture)])
        np.testing.assert_array_equal(found.numpy(), framing(picture), f"{height}x{width}")


def _times(gaps: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(gaps)]) / 1000


GAPS = st.lists(st.sampled_from([1, 7, 20, 33, 34, 40, 100, 101, 480]), max_size=60)


@settings(max_examples=100, deadline=None)
@given(GAPS, st.sampled_from([0, 1, 33, 40, 125, 500]), st.sampled_from(SAMPLINGS))
def test_the_sample_network_chooses_the_frames_of_sample_indices(
    gaps: list[int], last: int, sampling: Sampling
) -> None:
    times = _times(gaps)
    duration = float(times[-1]) + last / 1000
    found = SampleNetwork(sampling)(
        torch.from_numpy(times), torch.tensor(duration, dtype=torch.float64)
    )
    np.testing.assert_array_equal(found.numpy(), sample_indices(sampling, times, duration))


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=repr)
def test_in_onnx_runtime_it_chooses_the_same(sampling: Sampling, tmp_path: Path) -> None:
    spec = _spec(sampling, Framing(size=8))
    write(sample_graph(spec), spec, "onnx", tmp_path / "sample.onnx")
    run: Run = opened(tmp_path / "sample.onnx")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        times = _times(rng.choice([33, 34, 40, 101], size=rng.integers(0, 90)).tolist())
        duration = float(times[-1]) + 0.04
        (found,) = run([torch.from_numpy(times), torch.tensor(duration, dtype=torch.float64)])
        np.testing.assert_array_equal(found.numpy(), sample_indices(sampling, times, duration))
