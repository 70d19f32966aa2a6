"""What the pages show can be typed as it stands: code compiles, commands and settings exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer
import yaml

from filmstrip.app.cli import app
from filmstrip.recipes.catalogue import load_recipe

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))

FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4,}\S.*\n?)+", re.MULTILINE)
INLINE = re.compile(r"`+(filmstrip [^`]+)`+")
INLINE_CALL = re.compile(r"`(filmstrip\.[^`]+\([^`]*)`")
COMMAND_LINE = re.compile(r"^\s*(?:\$ )?(?:\w+=\S+ )*(?:\S*/)?filmstrip (.+)$", re.MULTILINE)
SHELLS = ("", "bash", "console", "sh", "shell")

GROUP = typer.main.get_command(app)


def _command(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that ``words`` name, its name, and what follows it."""
    command: Any = GROUP
    name = "filmstrip"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{name} has no command {words[0]!r}"
        command, name, words = command.commands[words[0]], f"{name} {words[0]}", words[1:]
    return command, name, words


def _texts() -> dict[str, str]:
    """The prose of each page and notebook by its name."""
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        texts[str(path.relative_to(ROOT))] = prose
    return texts


def _python() -> Iterator[tuple[str, str]]:
    """Page and code, in blocks of Python and in calls within a sentence."""
    for page, text in _texts().items():
        yield from ((page, code) for language, code in FENCED.findall(text) if language == "python")
        yield from ((page, code) for code in INLINE_CALL.findall(FENCED.sub("", text)))


def _command_lines() -> Iterator[tuple[str, str]]:
    """Page and what stands behind ``filmstrip``, in blocks of shell and in examples in a line."""
    for page, text in _texts().items():
        blocks = [block for language, block in FENCED.findall(text) if language in SHELLS]
        blocks += INDENTED.findall(FENCED.sub("", text))
        for block in blocks:
            for line in COMMAND_LINE.findall(block.replace("\\\n", " ")):
                if "[OPTIONS]" not in line:  # a usage line, made from the command itself
                    yield page, line
        for example in re.findall(r"^(?:Example|Start with): .*$", text, re.MULTILINE):
            yield from ((page, code.removeprefix("filmstrip ")) for code in INLINE.findall(example))


def _mentions() -> Iterator[tuple[str, str]]:
    """Page and what stands behind ``filmstrip`` in code within a sentence."""
    for page, text in _texts().items():
        prose = INDENTED.sub("", FENCED.sub("", text))
        yield from ((page, code.removeprefix("filmstrip ")) for code in INLINE.findall(prose))


PYTHON = sorted(set(_python()))
LINES = sorted(set(_command_lines()))
MENTIONS = sorted(set(_mentions()))


def test_the_pages_are_read() -> None:
    pages_with_commands = {page for page, _ in LINES}
    assert {"README.md", "docs/commands.md"} <= pages_with_commands
    assert {Path(page).suffix for page in pages_with_commands} == {".md", ".ipynb"}
    assert PYTHON


@pytest.mark.parametrize(("page", "code"), PYTHON)
def test_python_that_a_page_shows_compiles(page: str, code: str) -> None:
    compile(code, page, "exec")


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_line_that_a_page_shows_is_understood(page: str, line: str) -> None:
    words = shlex.split(re.split(r"\s(?:\||&&|;|>)\s", line)[0], comments=True)
    command, name, options = _command(words)
    # An unknown option, a missing argument or a value of the wrong type raises a usage error.
    given = command.make_context(name, options).params
    recipe = given.get("recipe", given.get("name"))
    if recipe is None or recipe.endswith(".yaml"):
        return
    load_recipe(recipe, given.get("overrides") or [])
    for choice in given.get("choices") or []:
        key, _, values = choice.partition("=")
        for value in yaml.safe_load(values):
            load_recipe(recipe, [f"{key}={value}"])


@pytest.mark.parametrize(("page", "code"), MENTIONS)
def test_a_command_that_a_sentence_names_exists_with_its_options(page: str, code: str) -> None:
    command, _, words = _command(shlex.split(code))
    known = {option for param in command.params for option in param.opts} | {"--help"}
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert options <= known, f"{page}: filmstrip {code}"


def test_the_page_of_commands_is_what_the_commands_say_of_themselves(tmp_path: Path) -> None:
    written = tmp_path / "commands.md"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [arguments] = re.findall(r"/typer (.+) --output docs/commands\.md$", makefile, re.MULTILINE)
    typed = [sys.executable, "-m", "typer", *shlex.split(arguments), "--output", str(written)]
    subprocess.run(typed, check=True, capture_output=True)
    shown = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert shown == written.read_text(encoding="utf-8"), "docs/commands.md is old: run 'make docs'"
