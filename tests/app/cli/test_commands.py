"""What holds for every command."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from filmstrip.app.cli import app

COMMANDS = [str(command.name or command.callback.__name__) for command in app.registered_commands]
GROUPS = [str(group.name) for group in app.registered_groups]
SUBCOMMANDS = [
    f"{group.name} {command.name or command.callback.__name__}"
    for group in app.registered_groups
    for command in group.typer_instance.registered_commands
]
HEAVY = ("torch", "lightning", "matplotlib", "sklearn", "timm", "torchvision", "av", "pandas")
ROOT = Path(__file__).parents[3]
FULL_DISK = Path("/dev/full")

CALL_AND_LIST_MODULES = """
import sys
from filmstrip.app.cli import main
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def plain(text: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]|\x1b\[[0-9;]*m", " ", text).split())


@pytest.mark.parametrize("name", COMMANDS + GROUPS + SUBCOMMANDS)
def test_the_help_of_every_command_says_what_it_does_and_has_an_example(
    name: str, filmstrip: Callable[..., Any]
) -> None:
    shown = filmstrip(*name.split(), "--help")
    assert shown.exit_code == 0
    help_text = plain(shown.stdout)
    assert re.search(rf"Example: \W?filmstrip {name}\b", help_text)
    assert "Options" in help_text


@pytest.mark.parametrize("name", COMMANDS + SUBCOMMANDS)
def test_every_command_is_in_the_documentation(name: str) -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert re.search(rf"\bfilmstrip {name}\b", text)


def test_the_help_names_every_command(filmstrip: Callable[..., Any]) -> None:
    shown = plain(filmstrip("--help").stdout)
    assert all(f" {name} " in shown for name in COMMANDS + GROUPS)


def test_help_is_given_without_importing_anything_heavy() -> None:
    for arguments in (["--help"], ["train", "--help"], ["predict", "--help"], ["cache", "--help"]):
        ended = subprocess.run(
            [sys.executable, "-c", CALL_AND_LIST_MODULES, *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        imported = set(ended.stderr.split())
        assert "filmstrip" in imported
        assert not imported & set(HEAVY)


def test_an_unknown_command_is_met_with_the_nearest(filmstrip: Callable[..., Any]) -> None:
    ended = filmstrip("predikt", "run")
    assert ended.exit_code == 2
    assert "Did you mean 'predict'?" in plain(ended.stderr)


@pytest.mark.parametrize(
    ("arguments", "given", "remedy"),
    [
        (["train", "MISSING", "--out", "OUT"], "no such file or folder", "check the spelling"),
        (
            ["train", "VIDEOS", "--out", "OUT", "--recipe", "vgg16-lsmt"],
            "recipe 'vgg16-lsmt'",
            "Did you mean 'vgg16-lstm'",
        ),
        (
            ["train", "VIDEOS", "--out", "OUT", "--set", "head.hiden=8"],
            "override 'head.hiden'",
            "Did you mean 'head.hidden'",
        ),
        (
            ["train", "VIDEOS", "--out", "OUT", "--set", "backbone.name=tf_efficientnet_lite9"],
            "backbone.name=tf_efficientnet_lite9",
            "Did you mean 'tf_efficientnet_lite",
        ),
        (["predict", "OUT", "VIDEOS"], "holds no trained model", "filmstrip train"),
        (["evaluate", "VIDEOS"], "is not a run folder", "check the path"),
        (["pack", "VIDEOS", "--out", "OUT.zip"], "OUT.zip", "rename"),
        (
            ["tune", "VIDEOS", "--out", "OUT", "--try", "head.hidden=64"],
            "--try 'head.hidden=64'",
            "quote it",
        ),
        (["recipes", "lite-gur"], "recipe 'lite-gur'", "Did you mean 'lite-gru'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_person_s_mistake_ends_in_three_parts_and_never_in_a_traceback(
    arguments: list[str],
    given: str,
    remedy: str,
    filmstrip: Callable[..., Any],
    videos: Path,
    tmp_path: Path,
) -> None:
    names = {"MISSING": tmp_path / "missing", "VIDEOS": videos, "OUT": tmp_path / "out"}
    names["OUT.zip"] = tmp_path / "OUT.zip"
    ended = filmstrip(*(names.get(argument, argument) for argument in arguments))
    assert ended.exit_code == 1
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    told = re.search(r"Error: (.+)\nExpected: (.+)\nNext: (.+)\n", ended.stderr)
    assert told is not None, ended.stderr
    assert given in told[1]
    assert remedy in told[3]


def _call(*arguments: str, stdout: int | IO[bytes] = subprocess.DEVNULL) -> tuple[int, str]:
    """The exit code of a command in a process of its own, and what it says on standard error."""
    ended = subprocess.run(
        [sys.executable, "-c", "from filmstrip.app.cli import main; main()", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    return ended.returncode, plain(ended.stderr.decode())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["recipes"], 0, ""),
        (["recipes", "no-such"], 1, "Error: "),
        (["no-such"], 2, "No such command"),
    ],
)
def test_a_process_ends_with_the_code_of_its_command(
    arguments: list[str], code: int, said: str
) -> None:
    ended = _call(*arguments)
    assert ended[0] == code
    assert said in ended[1]


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs /dev/full")
def test_output_that_the_disk_does_not_hold_is_an_error_without_a_traceback() -> None:
    with FULL_DISK.open("wb") as full:
        code, said = _call("recipes", stdout=full)
    assert code == 1
    assert said.startswith("Error: the output could not be written, the disk is full")
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.mark.parametrize("command", ["train", "doctor", "split", "predict", "timeline", "evaluate"])
def test_a_path_that_no_disk_can_have_is_an_error(
    filmstrip: Callable[..., Any], tmp_path: Path, command: str
) -> None:
    path = tmp_path / ("x" * 300)
    options = ["--out", tmp_path / "out"] if command == "train" else []
    more = [tmp_path] if command in ("predict", "timeline") else []
    ended = filmstrip(command, path, *more, *options)
    assert ended.exit_code == 1
    assert ended.stderr.startswith("Error: ")
    assert "Traceback" not in ended.stderr
