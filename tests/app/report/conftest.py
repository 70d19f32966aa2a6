"""A finished run with folds, on classes and files whose names are an attack on the page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from filmstrip.training.run_folder import RunFolder, TrainingRequest

ATTACK = "\"><img src=x onerror='alert(1)'>{{7*7}}&amp;"
HOSTILE_CLASSES = {"left": f"<script>alert(1)<left>{ATTACK}", "right": ATTACK, "up": "up"}


class Page(HTMLParser):
    """What a browser would make of a page: elements with attributes, and the text outside of them.

    Text of ``style`` is left out.
    """

    def __init__(self, content: str) -> None:
        super().__init__()
        self.content = content
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._is_style = False
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._is_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._is_style = False
        if tag in ("td", "th"):
            self.text += " "

    def handle_data(self, data: str) -> None:
        if not self._is_style:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def section(self, name: str) -> str:
        """The text of one section, by its id."""
        begin = self.content.index(f'<section id="{name}">')
        return Page(self.content[begin : self.content.index("</section>", begin)]).text


@pytest.fixture(scope="session")
def page_at() -> Callable[[Path], Page]:
    """``page_at(path)``: the page as a browser reads it."""
    return lambda path: Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def hostile_run(
    videos: Path, recipe: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """Two folds over three classes; not to be changed. Each clip is named by the attack, too."""
    from filmstrip.training.train import train

    root = tmp_path_factory.mktemp("hostile")
    for motion, label in HOSTILE_CLASSES.items():
        (root / "videos" / label).mkdir(parents=True)
        for clip in (videos / motion).iterdir():
            shutil.copy(clip, root / "videos" / label / f"{clip.stem}{ATTACK}.mp4")
    (root / "videos" / "up" / "broken.mp4").write_bytes(b"no video")
    request = TrainingRequest(
        data=root / "videos", recipe=recipe("mean-linear", "training.epochs=1"), num_folds=2
    )
    train(request, root / "run")
    return RunFolder(root / "run")


@pytest.fixture
def own_run(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the finished run, on data that stays where it is."""
    return RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "own_run")))
