

def test_a_chart_and_a_page_are_written(
    filmstrip: Filmstrip, finished_run: RunFolder, recording: Path, tmp_path: Path
) -> None:
    plot, html = tmp_path / "t.png", tmp_path / "t.html"
    options = ("--enter", "0.35", "--leave", "0.3", "--plot", plot, "--html", html, "--embed")
    ended = filmstrip("timeline", finished_run.path, recording, "--window", 1, *options)
    assert ended.exit_code == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = html.read_text(encoding="utf-8")
    assert text.count("<tr data-start=") == len(ended.stdout.splitlines())
    assert 'src="data:video/mp4;base64,' in text
