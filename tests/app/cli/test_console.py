from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from filmstrip.app.cli import console
from filmstrip.app.cli.console import ConsoleReporter, show_error
from filmstrip.errors import RunError

PHASES = [
    ("Extracting features", 100_000, "0 cached, 12 unreadable"),
    ("Pretraining on frames", 40, "validation accuracy 0.93"),
    ("Training", 12, "validation accuracy 0.08"),
    ("Drawing labels", 300, ""),
]


def show(monkeypatch: pytest.MonkeyPatch, width: int, is_terminal: bool) -> list[str]:
    """The last line of each phase in the midst of its work, as it stands on the screen."""
    shown = []
    for title, num_steps, words in PHASES:
        written = io.StringIO()
        screen = Console(file=written, force_terminal=is_terminal, width=width, highlight=False)
        monkeypatch.setattr(console, "messages", screen)
        with ConsoleReporter().phase(title, num_steps) as advance:
            for _ in range(10):
                advance(words)
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())
        shown.append([line for line in re.split(r"[\r\n]+", text) if line.strip()][-1])
    return shown


@pytest.mark.parametrize("width", [80, 200])
def test_a_bar_fits_the_terminal_with_nothing_cut_off(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    for line, (title, num_steps, words) in zip(
        show(monkeypatch, width, is_terminal=True), PHASES, strict=True
    ):
        assert len(line) <= width
        assert line.startswith(title)
        assert f"10/{num_steps} " in line
        assert words in line
        assert "…" not in line


def test_a_narrow_terminal_loses_the_words_before_the_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for line, (_, num_steps, _) in zip(
        show(monkeypatch, 60, is_terminal=True), PHASES, strict=True
    ):
        assert len(line) <= 60
        assert f"10/{num_steps} " in line


def test_a_log_file_gets_one_plain_line_for_a_phase_and_one_each_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "messages", Console(file=written, highlight=False))
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    with ConsoleReporter().phase("Training", 200) as advance:
        for number in range(1, 201):
            now = number * 1.0
            advance(f"validation accuracy {number / 200:.2f}")
    assert written.getvalue().splitlines() == [
        "Training: 61/200 in 0:01:01, validation accuracy 0.30",
        "Training: 122/200 in 0:02:02, validation accuracy 0.61",
        "Training: 183/200 in 0:03:03, validation accuracy 0.92",
        "Training: 200/200 in 0:03:20, validation accuracy 1.00",
    ]


def test_a_phase_that_fails_still_tells_a_log_file_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "messages", Console(file=written, highlight=False))

    def fail_midway() -> None:
        with ConsoleReporter().phase("Packing", 5) as advance:
            advance("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_midway()
    assert written.getvalue() == "Packing: 1/5 in 0:00:00\n"


def test_brackets_in_names_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_error(RunError("[red]run[/red]", "[a] folder", "give [another]."))
    ConsoleReporter().note("classes [bold]a[/bold] and b")
    assert capsys.readouterr().err.splitlines() == [
        "Error: [red]run[/red]",
        "Expected: [a] folder",
        "Next: give [another].",
        "classes [bold]a[/bold] and b",
    ]


def test_tables_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("[/i]", ":tada:", box=None, pad_edge=False)
    table.add_row("[bold]wave[/bold]", "[plain]")
    console.output.print(table)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["[/i]", ":tada:"],
        ["[bold]wave[/bold]", "[plain]"],
    ]


def test_a_bar_shows_a_name_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(console, "messages", Console(file=written, force_terminal=True, width=100))
    with ConsoleReporter().phase("Looking", 1) as advance:
        advance("clip [/x].mp4")
    assert "clip [/x].mp4" in written.getvalue()


def test_json_is_one_line_of_ascii_whatever_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"[b]\udcff": "🎬 " + "long " * 100}
    console.show_json(content)
    line = capsys.readouterr().out
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line) == content


HOSTILE = "a\x1b]0;owned\x07\r\nb\u202e"
SHOWN = r"a\x1b]0;owned\x07\r\nb\u202e"


def test_print_shows_a_string_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.output.print(HOSTILE, soft_wrap=True)
    assert capsys.readouterr().out == f"{SHOWN}\n"


def test_print_keeps_only_newlines_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.output.print(Text(HOSTILE), soft_wrap=True)
    assert capsys.readouterr().out == "a\\x1b]0;owned\nb\\u202e\n"


def test_tables_escape_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("class", title=HOSTILE, box=None, pad_edge=False)
    table.add_row(HOSTILE)
    console.output.print(table)
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        SHOWN,
        "class",
        SHOWN,
    ]


def test_errors_escape_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(RunError(HOSTILE, HOSTILE, HOSTILE))
    assert capsys.readouterr().err.splitlines() == [
        f"Error: {SHOWN}",
        f"Expected: {SHOWN}",
        f"Next: {SHOWN}",
    ]


def test_a_bar_escapes_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    screen = console.Screen()
    screen.file = written
    screen._force_terminal = True
    monkeypatch.setattr(console, "messages", screen)
    with ConsoleReporter().phase("Looking", 1) as advance:
        advance(HOSTILE)
    assert "\x1b]0;" not in written.getvalue()
    assert "\u202e" not in written.getvalue()
