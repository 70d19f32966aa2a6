from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmstrip.text import printable, to_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("walk", "walk"),
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("one\r\ntwo\t.", r"one\r\ntwo\t."),
        ("evil\u202e4pm.exe", r"evil\u202e4pm.exe"),
        ("\u2066isolated\u2069", r"\u2066isolated\u2069"),
        ("next\u2028line\x85", r"next\u2028line\x85"),
        ("byte\udcff", r"byte\udcff"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("\x00", r"\x00"),
    ],
)
def test_printable_escapes_what_cannot_be_seen(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    ["öffnen é e\u0301", "走る", "می\u200cخواهم", "👩\u200d💻 🎬", "a\u00a0b", r"back\slash", ""],
)
def test_printable_keeps_every_script_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_printable_keeps_newlines_only_on_request() -> None:
    assert printable("a\nb\r", keep_newlines=True) == "a\nb\\r"


@given(st.text(st.characters()))
def test_printable_leaves_no_control_character(text: str) -> None:
    categories = {unicodedata.category(char) for char in printable(text)}
    assert not categories & {"Cc", "Cs", "Zl", "Zp"}
    printable(text).encode()


def test_to_json_writes_null_for_what_json_has_no_number_for() -> None:
    content = {"a": [float("nan"), 1.5], "b": (float("inf"), {"c": -float("inf")})}
    assert json.loads(to_json(content), parse_constant=pytest.fail) == {
        "a": [None, 1.5],
        "b": [None, {"c": None}],
    }
