from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filmstrip.errors import RecipeError
from filmstrip.recipes.catalogue import (
    RECIPE_NAMES,
    SHORT_FORMS,
    _keys_of,
    choose_weights,
    load_recipe,
    override,
    to_yaml,
)
from filmstrip.recipes.recipe import Recipe, TrainingSpec


def refusal(name: str, *overrides: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        load_recipe(name, overrides)
    error = caught.value
    assert error.given
    assert error.expected
    assert error.remedy
    return error


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    """The recipe ``xception-gru``, saved for a person to change."""
    file = tmp_path / "my.yaml"
    file.write_text(to_yaml(load_recipe("xception-gru")), encoding="utf-8")
    return file


def edit(file: Path, old: str, new: str) -> str:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("text", "section", "key", "value"),
    [
        ("head.hidden=512", "head", "hidden", (512,)),
        ("head.hidden=[16, 8]", "head", "hidden", (16, 8)),
        ("head.differences=[]", "head", "differences", ()),
        ("head.dropout=0.25", "head", "dropout", 0.25),
        ("head.cell=lstm", "head", "cell", "lstm"),
        ("head.bidirectional=true", "head", "bidirectional", True),
        ("backbone.stage=-1", "backbone", "stage", -1),
        ("backbone.weights=none", "backbone", "weights", "none"),
        ("training.learning_rate=1e-3", "training", "learning_rate", 0.001),
        ("training.precision=32", "training", "precision", "32"),
        ("training.precision=bf16", "training", "precision", "bf16"),
        ("training.views=[plain, flip]", "training", "views", ("plain", "flip")),
        (" training.epochs = 3 ", "training", "epochs", 3),
        ("scaler.kind=none", "scaler", "kind", "none"),
    ],
)
def test_an_override_changes_its_setting_and_no_other(
    text: str, section: str, key: str, value: object
) -> None:
    recipe = load_recipe("lite-gru")
    changed = load_recipe("lite-gru", [text])
    assert getattr(getattr(changed, section), key) == value
    back = {key: getattr(getattr(recipe, section), key)}
    restored = getattr(changed, section).model_copy(update=back)
    assert changed.model_copy(update={section: restored}) == recipe


def test_an_override_reaches_a_setting_within_a_setting() -> None:
    recipe = load_recipe("lite-gru", ["training.augmentation.flip=yes"])
    assert recipe.training.augmentation.flip
    assert recipe.training.augmentation.temporal_crop == 0.7


def test_a_whole_section_can_be_given() -> None:
    assert load_recipe("lite-gru", ["head={kind: mean-linear}"]).head.kind == "mean-linear"


def test_overrides_may_come_from_an_iterator_and_the_last_of_a_key_counts() -> None:
    texts = (text for text in ("training.epochs=3", "training.seed=7", "training.epochs=4"))
    training = override(load_recipe("lite-gru"), texts).training
    assert (training.epochs, training.seed) == (4, 7)


@pytest.mark.parametrize("reverse", [False, True])
def test_another_kind_has_its_own_settings_in_whatever_order_they_are_given(reverse: bool) -> None:
    texts = ["backbone.channels=[8, 16]", "backbone.kind=convnet", "scaler.kind=none"]
    recipe = load_recipe("lite-gru", reversed(texts) if reverse else texts)
    assert recipe.backbone.kind == "convnet"
    assert recipe.backbone.channels == (8, 16)
    assert recipe.backbone.trainable == -1


def test_a_scaler_of_another_kind_takes_its_own_settings_too() -> None:
    scaler = load_recipe("vgg16-lstm", ["scaler.num_components=9", "scaler.kind=pca"]).scaler
    assert (scaler.kind, scaler.num_components) == ("pca", 9)


def test_the_same_kind_again_changes_nothing() -> None:
    recipe = load_recipe("lite-gru")
    for section in ("sampling", "backbone", "scaler", "head"):
        kind = getattr(recipe, section).kind
        assert load_recipe("lite-gru", [f"{section}.kind={kind}"]) == recipe


def test_a_kind_that_needs_a_setting_says_which() -> None:
    error = refusal("cnn-lstm", "backbone.kind=timm")
    assert "backbone.name = None" in error.given
    assert load_recipe("cnn-lstm", ["backbone.kind=timm", "backbone.name=vgg16"]).backbone.name


def test_a_setting_of_another_kind_is_unknown() -> None:
    assert "'head.hidden'" in refusal("mean-linear", "head.hidden=3").given
    assert "'sampling.num_frames'" in refusal("lite-gru", "sampling.num_frames=3").given


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("head.hiden=512", "head.hidden"),
        ("training.epoch=3", "training.epochs"),
        ("training.augmentation.flop=true", "training.augmentation.flip"),
        ("backbones.grid=3", "backbone.grid"),
        ("kind=convnet", "head.kind"),
        ("training.kind=3", "head.kind"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(text: str, meant: str) -> None:
    error = refusal("lite-gru", text)
    assert f"override {text.split('=')[0]!r}: the recipe has no such setting" in error.given
    assert f"'{meant}'" in error.remedy


@pytest.mark.parametrize("text", ["head.hidden", "", "512"])
def test_an_override_without_a_value_is_refused(text: str) -> None:
    assert repr(text) in refusal("lite-gru", text).given


@pytest.mark.parametrize("value", ["[16, 8", "{", "'a", "2020-13-45", "@x"])
def test_a_value_that_is_not_yaml_is_refused(value: str) -> None:
    error = refusal("lite-gru", f"head.hidden={value}")
    assert error.given == f"override {f'head.hidden={value}'!r}: the value is not YAML"


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("head.hidden=0", "head.hidden.0 = 0", "greater than or equal to 1"),
        ("head.hidden=[]", "head.hidden = []", "at least 1 item"),
        ("head.hidden=many", "head.hidden = 'many'", "a list, such as"),
        ("head.dropout=1", "head.dropout = 1", "less than 1"),
        ("head.cell=rnn", "head.cell = 'rnn'", "'lstm' or 'gru'"),
        ("head.kind=transformer", "head = {'kind': 'transformer'}", "'recurrent', 'mean-linear'"),
        ("scaler.kind=robust", "scaler.kind = 'robust'", "'minmax'"),
        ("backbone.grid=8", "backbone.grid = 8", "less than or equal to 7"),
        ("backbone.trainable=-2", "backbone.trainable = -2", "greater than or equal to -1"),
        ("training=3", "training = 3", "dictionary"),
        ("training.epochs=1.5", "training.epochs = 1.5", "integer"),
        ("training.learning_rate=.inf", "training.learning_rate = inf", "finite"),
        ("training.learning_rate=.nan", "training.learning_rate = nan", "finite"),
        ("training.precision=8", "training.precision = '8'", "'bf16'"),
        ("training.views=[]", "training.views = []", "at least 1 item"),
        ("views=[]", "views = []", "at least 1 item"),
        ("views=[mirror]", "views.0 = 'mirror'", "'plain' or 'flip'"),
        ("framing.size=-1", "framing.size = -1", "greater than or equal to 1"),
        ("head={kind: recurrent, hiden: 3}", "head.hiden = 3", "a setting that there is"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_does(
    text: str, given: str, expected: str
) -> None:
    error = refusal("lite-gru", text)
    assert error.given == f"recipe lite-gru with {text}: {given}"
    assert expected in error.expected


@pytest.mark.parametrize("name", ["lite_gru", "vgg-lstm", "xception", "Resnet50-GRU"])
def test_an_unknown_recipe_is_refused_with_the_nearest(name: str) -> None:
    error = refusal(name)
    assert repr(name) in error.given
    assert "Did you mean" in error.remedy
    assert "vgg16-bilstm" in error.expected


def test_a_yaml_file_is_a_recipe_and_takes_overrides(yaml_file: Path) -> None:
    name = edit(yaml_file, "name: xception-gru", "name: mine")
    recipe = load_recipe(name, ["head.hidden=32"])
    assert (recipe.name, recipe.head.hidden) == ("mine", (32,))
    expected = {"name": "mine", "head": recipe.head}
    assert load_recipe("xception-gru").model_copy(update=expected) == recipe


def test_a_yaml_file_may_leave_out_what_has_a_default(tmp_path: Path) -> None:
    file = tmp_path / "short.yml"
    file.write_text(
        "name: short\n"
        "sampling: {kind: uniform}\n"
        "framing: {size: 64}\n"
        "backbone: {kind: timm, name: resnet18}\n"
        "head: {kind: recurrent}\n"
    )
    assert load_recipe(str(file)).training == TrainingSpec()


def test_a_missing_yaml_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "gone.yaml") in refusal(str(tmp_path / "gone.yaml")).given
    (tmp_path / "folder.yaml").mkdir()
    assert "cannot be read as a recipe" in refusal(str(tmp_path / "folder.yaml")).given


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\xfa", b"a: 2020-13-45", b"\x00", b"a: *b"])
def test_a_file_that_is_not_yaml_is_refused(content: bytes, yaml_file: Path) -> None:
    yaml_file.write_bytes(content)
    error = refusal(str(yaml_file))
    assert f"{yaml_file}: cannot be read as a recipe" in error.given
    assert "--save" in error.expected


@pytest.mark.parametrize("content", ["", "3", "[1, 2]", "just text"])
def test_yaml_that_is_no_recipe_is_refused(content: str, yaml_file: Path) -> None:
    yaml_file.write_text(content)
    error = refusal(str(yaml_file))
    assert f"{yaml_file}: the recipe = " in error.given
    assert "dictionary" in error.expected


@pytest.mark.parametrize(
    ("old", "new", "given", "meant"),
    [
        ("hidden:", "hiden:", "head.hiden = [16, 8]", "head.hidden"),
        ("epochs:", "epoks:", "training.epoks = 10", "training.epochs"),
        ("flip:", "flap:", "training.augmentation.flap = False", "training.augmentation.flip"),
        ("head:", "haed:", "haed = {", "head"),
    ],
)
def test_an_unknown_key_in_a_file_is_refused_with_the_nearest(
    old: str, new: str, given: str, meant: str, yaml_file: Path
) -> None:
    error = refusal(edit(yaml_file, old, new))
    assert error.given.startswith(f"{yaml_file}: {given}")
    assert error.expected == "a setting that there is"
    assert f"'{meant}'" in error.remedy


def test_a_section_that_a_file_lacks_is_named(yaml_file: Path) -> None:
    yaml_file.write_text("name: mine\n")
    error = refusal(str(yaml_file))
    assert error.given == f"{yaml_file}: sampling is missing"
    assert error.expected == "every setting that has no default"


# Numbers of every size, words and lists, as a person or a search may set them.
settings_of_a_recipe = st.fixed_dictionaries(
    {},
    optional={
        "training.learning_rate": st.floats(1e-12, 1e3),
        "training.weight_decay": st.floats(0, 10),
        "training.seed": st.integers(0, 2**32 - 1),
        "head.hidden": st.lists(st.integers(1, 2048), min_size=1, max_size=3),
        "head.dropout": st.floats(0, 1, exclude_max=True),
        "sampling.frames_per_second": st.floats(1e-3, 1e3),
        "name": st.sampled_from(["mine", "no", "1e3", "2020-01-01", "ü: #", "null", ""]),
    },
)


@given(name=st.sampled_from(RECIPE_NAMES), changes=settings_of_a_recipe)
@settings(max_examples=80, deadline=None)
def test_whatever_it_holds_a_recipe_survives_being_written(
    name: str, changes: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = load_recipe(name).model_dump()
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = content[sections[0]] if sections else content
        if last in place:
            place[last] = value
    recipe = Recipe.model_validate(content)
    file = tmp_path_factory.getbasetemp() / "written.yaml"
    file.write_text(to_yaml(recipe), encoding="utf-8")
    assert load_recipe(str(file)) == recipe


def test_recipes_are_read_without_torch() -> None:
    script = (
        "import sys\n"
        "from filmstrip.recipes.catalogue import RECIPE_NAMES, describe, load_recipe, to_yaml\n"
        "for name in RECIPE_NAMES:\n"
        "    to_yaml(load_recipe(name, ['training.epochs=1'])), describe(name)\n"
        "print(*{'torch', 'timm', 'lightning'} & sys.modules.keys())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("training.lr=0.1", "training.learning_rate"),
        ("training.wd=0.1", "training.weight_decay"),
        ("training.bs=8", "training.batch_size"),
        ("dropout=0.1", "head.dropout"),
        ("bs=8", "training.batch_size"),
    ],
)
def test_an_unknown_setting_suggests_what_its_short_form_means(override: str, meant: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("vgg16-bilstm", [override])
    assert caught.value.remedy.startswith(f"Did you mean '{meant}'?")


def test_every_short_form_means_a_setting() -> None:
    last_parts = {key.rpartition(".")[2] for key in _keys_of(Recipe)}
    assert set(SHORT_FORMS.values()) <= last_parts
    assert not set(SHORT_FORMS) & last_parts


@pytest.mark.parametrize("word", ["none", "random", "None"])
def test_choose_weights_understands_random_weights(word: str) -> None:
    recipe, file = choose_weights(load_recipe("lite-gru"), Path(word))
    assert (recipe.backbone.weights, file) == ("none", None)
    scratch = load_recipe("cnn-lstm")
    assert choose_weights(scratch, Path(word)) == (scratch, None)


def test_choose_weights_prefers_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("none").write_bytes(b"")
    recipe = load_recipe("lite-gru")
    assert choose_weights(recipe, Path("none")) == (recipe, Path("none"))
    assert choose_weights(recipe, Path("other")) == (recipe, Path("other"))
    assert choose_weights(recipe, None) == (recipe, None)
