from __future__ import annotations

import re

import pytest

import filmstrip
from filmstrip import errors
from filmstrip.inference.predict import Predictor, load
from filmstrip.inference.prediction import Prediction


def test_the_package_offers_what_its_all_names_and_no_more() -> None:
    assert filmstrip.__all__ == ["Prediction", "Predictor", "__version__", "load"]
    assert filmstrip.load is load
    assert filmstrip.Predictor is Predictor
    assert filmstrip.Prediction is Prediction
    assert re.match(r"\d+\.\d+\.\d+", filmstrip.__version__)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="train"):
        _ = filmstrip.train


def test_the_tree_of_exceptions_is_drawn_as_it_is() -> None:
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]+)(\w+Error)\b", line)
        if not found:
            continue
        depth, name = len(found[1]), found[2]
        above = [(d, parent) for d, parent in above if d < depth]
        drawn[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert drawn == {cls.__name__: cls.__bases__[0].__name__ for cls in classes}


def test_an_error_tells_what_was_given_what_was_expected_and_what_to_do() -> None:
    error = errors.RunError("given", "expected", "remedy")
    assert (error.given, error.expected, error.remedy) == ("given", "expected", "remedy")
    assert str(error) == "given\n  expected: expected\n  next: remedy"
