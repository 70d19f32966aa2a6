from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
import pytest

from filmstrip.app.timeline_page import MAX_EMBEDDED_BYTES, address_from, write_timeline_page
from filmstrip.errors import VideoError
from filmstrip.inference.segments import Segment
from filmstrip.video.encode import write_video

HOSTILE = "\"'><script>alert(1)</script>"
SEGMENTS = (Segment(HOSTILE, 0.25, 1.5, 0.75), Segment("left", 118.0, 123.5, 0.5))


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "videos" / "a#b <i>&'é?.mp4"
    write_video(path, np.zeros((4, 32, 32, 3), np.uint8), 4)
    return path


def _page(tmp_path: Path, video: Path, is_embedded: bool = False) -> str:
    path = tmp_path / "pages" / "timeline.html"
    write_timeline_page(path, video, SEGMENTS, 125.0, is_embedded)
    return path.read_text(encoding="utf-8")


def test_the_page_asks_for_the_recording_and_nothing_else(tmp_path: Path, video: Path) -> None:
    text = _page(tmp_path, video)
    elements = _Elements(text)
    sources = [value for _, tag in elements.found for key, value in tag.items() if key == "src"]
    assert len(sources) == 1
    page = (tmp_path / "pages" / "timeline.html").as_uri()
    address = urlsplit(urljoin(page, sources[0]))
    assert unquote(address.path) == str(video)
    assert (address.query, address.fragment) == ("", "")
    links = [tag["href"] for tag in elements.of("link") + elements.of("a")]
    assert links == ["data:,"]
    policy = elements.of("meta")[1]["content"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "media-src 'self';" in policy


def test_hostile_names_are_only_text(tmp_path: Path, video: Path) -> None:
    elements = _Elements(_page(tmp_path, video))
    assert len(elements.of("script")) == 1
    assert elements.of("i") == []
    assert not [key for _, tag in elements.found for key in tag if key.startswith("on")]
    names = [tag["aria-label"] for tag in elements.of("button")]
    assert f"Play {HOSTILE}, 00:00:00.250 to 00:00:01.500" in names


def test_buttons_and_rows_hold_the_times_of_their_segments(tmp_path: Path, video: Path) -> None:
    elements = _Elements(_page(tmp_path, video))
    rows = [tag for tag in elements.of("tr") if "data-start" in tag]
    assert [(tag["data-start"], tag["data-end"]) for tag in rows] == [
        ("0.250", "1.500"),
        ("118.000", "123.500"),
    ]
    in_bar = [tag for tag in elements.of("button") if "data-stop" in tag]
    # The second goes over the end of a strip.
    assert [(tag["data-start"], tag["data-stop"]) for tag in in_bar] == [
        ("0.250", "1.500"),
        ("118.000", "123.500"),
        ("120.000", "123.500"),
    ]


def test_a_small_recording_can_be_put_into_the_page(tmp_path: Path, video: Path) -> None:
    text = _page(tmp_path, video, is_embedded=True)
    source = _Elements(text).of("video")[0]["src"]
    assert source is not None
    kind, _, content = source.partition(",")
    assert kind == "data:video/mp4;base64"
    assert base64.b64decode(content) == video.read_bytes()
    assert re.search(r"media-src data:;", text)


def test_a_large_recording_is_not_put_into_the_page(tmp_path: Path) -> None:
    video = tmp_path / "large.mp4"
    with video.open("wb") as file:
        file.truncate(MAX_EMBEDDED_BYTES + 1)
    page = tmp_path / "page.html"
    with pytest.raises(VideoError, match=r"large\.mp4: 20\.0 MB are too many for --embed") as error:
        write_timeline_page(page, video, SEGMENTS, 125.0, is_embedded=True)
    assert "at most 20 MB" in str(error.value)
    assert "leave out --embed" in str(error.value)
    assert not page.exists()


def test_a_colon_or_percent_sign_in_a_name_is_no_address(tmp_path: Path) -> None:
    assert address_from(tmp_path / "p.html", tmp_path / "data:a%20.mp4") == "data%3Aa%2520.mp4"
