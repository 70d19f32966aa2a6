"""The skeleton of every page: what is escaped, what may run, and how it is written."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import ChoiceLoader, DictLoader

from filmstrip.app.pages.page import data_uri, write_html
from filmstrip.errors import StorageError


def _page(script: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small page on the real skeleton, with one hostile value."""
    from filmstrip.app.pages import page

    source = (
        '{% extends "base.html" %}{% from "parts.html" import bar, tally, plot, scrolling %}'
        "{% block title %}{{ words }}{% endblock %}"
        "{% block heading %}<h1>{{ words }}</h1>{% endblock %}"
        "{% block content %}{{ tally(words, words) }}{{ plot(png, words) }}{{ bar(0.5) }}"
        "{% call scrolling(words) %}{{ words }}{% endcall %}{% endblock %}"
    )
    real = page._environment()
    assert real.loader is not None
    loader = ChoiceLoader([DictLoader({"any.html": source}), real.loader])
    monkeypatch.setattr(page, "_environment", lambda: real.overlay(loader=loader))
    hostile = "</title>\"'><script>alert(1)</script>"
    return page.render("any.html", script=script, png=b"png", words=hostile)


def test_every_value_is_escaped_in_text_and_in_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _page("", monkeypatch)
    assert "<script" not in content
    assert content.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 7
    assert "\"'>" not in content


def test_only_the_given_script_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'document.title = "a < b && c";'
    content = _page(script, monkeypatch)
    written = re.findall(r"<script>(.*?)</script>", content, flags=re.S)
    assert written == [script]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', content)
    assert policy is not None
    assert f"script-src 'sha256-{digest}';" in policy[1]
    assert policy[1].startswith("default-src 'none'")


@given(st.binary(max_size=200))
def test_an_address_of_data_holds_its_bytes(content: bytes) -> None:
    kind, _, text = data_uri(content, "video/mp4").partition(",")
    assert kind == "data:video/mp4;base64"
    assert base64.b64decode(text, validate=True) == content


def test_names_that_are_no_text_are_written_as_their_bytes(tmp_path: Path) -> None:
    write_html(tmp_path / "page.html", "caf\udce9 é")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "caf\\udce9 é"


def test_a_page_is_written_whole_or_not_at_all(
    tmp_path: Path, largest_file: Callable[[int], object]
) -> None:
    write_html(tmp_path / "page.html", "old")
    with largest_file(1000), pytest.raises(StorageError, match=r"page\.html"):  # type: ignore[attr-defined]
        write_html(tmp_path / "page.html", "x" * 100_000)
    assert (tmp_path / "page.html").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
