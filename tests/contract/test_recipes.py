"""What every built-in recipe promises: it builds, answers, can be saved, and cites its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from filmstrip.model.classifier import VideoClassifier, load_classifier
from filmstrip.model.specs import ClassifierSpec
from filmstrip.recipes.catalogue import DEFAULT_RECIPE, RECIPE_NAMES, describe, load_recipe, to_yaml
from filmstrip.recipes.recipe import Recipe
from filmstrip.video.auto_sampling import ClipTimes, fit_sampling

OURS = ("lite-gru", "lite-bigru", "mean-linear")
PUBLISHED = [name for name in RECIPE_NAMES if name not in OURS]
CLASS_NAMES = ("a", "b", "c")


def small_recipe(name: str) -> Recipe:
    """The recipe with small frames and no ImageNet weights; all else as it is."""
    overrides = ["framing.size=64"]
    if load_recipe(name).backbone.kind == "timm":
        overrides.append("backbone.weights=none")
    return load_recipe(name, overrides)


def fit_scaler(classifier: VideoClassifier, frames: Tensor) -> None:
    with torch.no_grad():
        features = classifier.backbone(classifier.backbone.normalise(frames))
    classifier.sequence.scaler.fit([features])


@pytest.fixture(scope="module", params=RECIPE_NAMES)
def built(request: pytest.FixtureRequest) -> tuple[Recipe, VideoClassifier]:
    recipe = small_recipe(request.param)
    torch.manual_seed(0)
    classifier = VideoClassifier(
        ClassifierSpec(
            class_names=CLASS_NAMES,
            recipe=recipe.name,
            sampling=fit_sampling(recipe.sampling, ClipTimes.of([], [])),
            **{
                part: getattr(recipe, part)
                for part in ("framing", "backbone", "scaler", "head", "views")
            },
        )
    ).eval()
    fit_scaler(classifier, clips_of(recipe)[0].flatten(0, 1))
    return recipe, classifier


def clips_of(recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Three uint8 clips of different lengths."""
    torch.manual_seed(1)
    size = recipe.framing.size
    return torch.randint(0, 256, (3, 4, 3, size, size), dtype=torch.uint8), torch.tensor([4, 1, 3])


@torch.no_grad()
def test_it_answers_clips_of_different_lengths_each_as_if_alone(
    built: tuple[Recipe, VideoClassifier],
) -> None:
    recipe, classifier = built
    clips, lengths = clips_of(recipe)
    logits = classifier(clips, lengths)
    assert logits.shape == (3, len(CLASS_NAMES))
    assert logits.isfinite().all()
    alone = [classifier(clip[None, :n], n[None])[0] for clip, n in zip(clips, lengths, strict=True)]
    torch.testing.assert_close(logits, torch.stack(alone), rtol=1e-3, atol=1e-3)
    clips[1, 1:] = 255
    assert torch.equal(classifier(clips, lengths), logits)


@torch.no_grad()
def test_saved_and_loaded_it_answers_the_same_bit_for_bit(
    built: tuple[Recipe, VideoClassifier], tmp_path: Path
) -> None:
    recipe, classifier = built
    classifier.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    loaded = load_classifier(tmp_path)
    assert loaded.spec == classifier.spec
    assert torch.equal(loaded(*clips_of(recipe)), classifier(*clips_of(recipe)))


def test_what_its_source_freezes_is_frozen_and_all_else_learns(
    built: tuple[Recipe, VideoClassifier],
) -> None:
    recipe, classifier = built
    assert classifier.backbone.is_frozen == (recipe.name != "cnn-lstm")
    learning = {name for name, p in classifier.named_parameters() if p.requires_grad}
    assert any(name.startswith("sequence.head.") for name in learning)
    has_learnt_scaler = any(name.startswith("sequence.scaler.") for name in learning)
    assert has_learnt_scaler == (recipe.scaler.kind == "layernorm")
    in_backbone = {name for name, _ in classifier.backbone.named_parameters(prefix="backbone")}
    expected = in_backbone if recipe.name == "cnn-lstm" else set()
    assert learning & in_backbone == expected


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_it_reads_back_from_yaml_as_it_was_written(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    file = tmp_path / "my.yaml"
    file.write_text(to_yaml(recipe), encoding="utf-8")
    assert load_recipe(str(file)) == recipe


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_its_docstring_sums_it_up_in_the_first_line(name: str) -> None:
    summary, blank, *rest = describe(name).splitlines()
    assert 20 < len(summary) < 90
    assert summary.endswith(".")
    assert blank == ""
    assert any(rest)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_system_is_cited_and_every_deviation_stated(name: str) -> None:
    recipe = load_recipe(name)
    assert "Source: " in describe(name)
    title = recipe.source.partition(" (")[0].partition(", after")[0]
    assert title in " ".join(describe(name).split())
    assert recipe.deviations
    assert all(text.endswith(".") for text in recipe.deviations)


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_says_so_and_deviates_from_nothing(name: str) -> None:
    recipe = load_recipe(name)
    assert "\nOurs." in describe(name)
    assert recipe.source == "Filmstrip"
    assert recipe.deviations == ()


def settings_of(name: str) -> dict[str, Any]:
    return load_recipe(name).model_dump(mode="json")


def assert_has(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {key: settings[key] for key in expected} == expected


def test_vgg16_lstm_is_vgg16_frozen_and_an_lstm() -> None:
    recipe = settings_of("vgg16-lstm")
    assert_has(recipe["backbone"], {"name": "vgg16", "weights": "imagenet", "trainable": 0})
    assert_has(recipe["head"], {"cell": "lstm", "bidirectional": False, "dense": []})
    assert len(recipe["head"]["hidden"]) == 1


@pytest.mark.parametrize(
    "idea",
    [
        "backbone.name=resnet50",
        "backbone.name=inception_v3",
        "head.bidirectional=true",
        "training.views=[plain, flip]",
        "training.augmentation.temporal_crop=0.8",
        "sampling.num_frames=40",
    ],
)
def test_the_ideas_that_vgg16_lstms_source_lists_are_options(idea: str) -> None:
    assert load_recipe("vgg16-lstm", [idea]) != load_recipe("vgg16-lstm")


def test_cnn_lstm_is_growing_convolutions_and_an_lstm_of_256_trained_end_to_end() -> None:
    recipe = settings_of("cnn-lstm")
    assert_has(recipe["backbone"], {"kind": "convnet", "trainable": -1})
    channels = recipe["backbone"]["channels"]
    assert channels == sorted(set(channels))
    assert len(channels) > 1
    assert_has(recipe["head"], {"cell": "lstm", "hidden": [256], "bidirectional": False})
    assert recipe["head"]["dense"] == []


def test_xception_gru_is_the_network_of_the_keras_example() -> None:
    recipe = settings_of("xception-gru")
    assert_has(
        recipe["backbone"],
        {"name": "legacy_xception", "weights": "imagenet", "trainable": 0, "grid": 1},
    )
    assert recipe["framing"] == {"size": 299, "fit": "crop"}
    assert_has(
        recipe["head"],
        {
            "cell": "gru",
            "hidden": [16, 8],
            "bidirectional": False,
            "pooling": "last",
            "dropout": 0.4,
            "input_dropout": 0.0,
            "layer_dropout": 0.0,
            "dense": [8],
        },
    )
    assert_has(recipe["sampling"], {"kind": "uniform", "num_frames": 20})
    assert_has(recipe["training"], {"optimizer": "adam", "epochs": 10, "monitor": "val_loss"})


def test_vgg16_bilstm_has_layernorm_two_directions_dropout_l2_and_early_stopping() -> None:
    recipe = settings_of("vgg16-bilstm")
    assert_has(
        recipe["backbone"], {"name": "vgg16", "weights": "imagenet", "trainable": 0, "grid": 1}
    )
    assert recipe["scaler"]["kind"] == "layernorm"
    assert_has(recipe["head"], {"cell": "lstm", "bidirectional": True})
    assert recipe["head"]["dropout"] > 0
    assert recipe["head"]["dense"]
    assert recipe["training"]["optimizer"] == "adam"
    assert recipe["training"]["l2"] > 0
    assert recipe["training"]["early_stopping"] > 0
    assert load_recipe("vgg16-bilstm", ["training.gpu_memory_fraction=0.5"])


def test_resnet50_gru_is_our_resnet_minmax_a_gru_and_a_falling_learning_rate() -> None:
    recipe = settings_of("resnet50-gru")
    assert_has(recipe["backbone"], {"kind": "resnet50", "pretrain": "frames", "trainable": 0})
    assert recipe["scaler"]["kind"] == "minmax"
    assert_has(recipe["head"], {"cell": "gru", "bidirectional": False})
    assert_has(recipe["training"], {"optimizer": "adam", "schedule": "decay"})
    assert recipe["training"]["decay"] < 1
    assert load_recipe("resnet50-gru", ["backbone.pretrain=none"]).backbone.pretrain == "none"


def test_the_default_runs_without_a_network_and_can_be_streamed() -> None:
    assert DEFAULT_RECIPE == "lite-gru"
    recipe = settings_of(DEFAULT_RECIPE)
    assert_has(recipe["backbone"], {"name": "tf_efficientnet_lite0", "weights": "imagenet"})
    assert recipe["sampling"]["kind"] == "auto"
    assert_has(recipe["head"], {"cell": "gru", "bidirectional": False})


def test_lite_bigru_answers_with_several_heads_that_read_both_ways_and_by_parts_of_both_views() -> (
    None
):
    recipe = settings_of("lite-bigru")
    assert_has(recipe["backbone"], {"name": "tf_efficientnet_lite0", "weights": "imagenet"})
    assert_has(recipe["head"], {"cell": "gru", "bidirectional": True})
    assert recipe["head"]["members"] > 1
    assert recipe["views"] == recipe["training"]["views"] == ["plain", "flip"]
    assert recipe["num_temporal_crops"] == 3


def test_mean_linear_is_logistic_regression_on_any_backbone() -> None:
    recipe = settings_of("mean-linear")
    assert recipe["head"] == {"kind": "mean-linear"}
    assert load_recipe("mean-linear", ["backbone.name=resnet50"]).backbone.name == "resnet50"
    assert load_recipe("mean-linear", ["backbone.kind=resnet50"]).backbone.kind == "resnet50"


def sections_of(spec: BaseModel) -> list[BaseModel]:
    inner = [value for _, value in spec if isinstance(value, BaseModel)]
    return [spec, *(section for value in inner for section in sections_of(value))]


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_no_part_of_it_takes_an_unknown_key_or_can_be_changed(name: str) -> None:
    sections = sections_of(load_recipe(name))
    assert len(sections) == 9
    for section in sections:
        with pytest.raises(ValidationError, match="extra_forbidden"):
            type(section).model_validate(section.model_dump() | {"unheard_of": 1})
        key = next(iter(type(section).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, getattr(section, key))
