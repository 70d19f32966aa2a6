"""A timeline as a page: a bar and a table of segments, and the recording, which they play."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from filmstrip.app.pages.page import data_uri, render, write_html
from filmstrip.errors import VideoError
from filmstrip.inference.segments import Segment
from filmstrip.inference.timeline_files import clock_time
from filmstrip.inference.timeline_strips import wrap

MAX_EMBEDDED_BYTES = 20_000_000
"""The largest recording that is put into a page."""

_MAX_STRIPS = 30

_SCRIPT = """
const video = document.querySelector("video");
const buttons = [...document.querySelectorAll("button[data-start]")];
const rows = [...document.querySelectorAll("tr[data-start]")];
const strips = [...document.querySelectorAll(".strip")];
const cursor = document.getElementById("cursor");
const clock = document.getElementById("clock");
const problem = document.getElementById("problem");
let asked = null;
let stopAt = null;

const span = (element) => [Number(element.dataset.start), Number(element.dataset.end)];
const holds = (element, seconds) => {
  const [start, end] = span(element);
  return start <= seconds && seconds < end;
};

function mark() {
  const seconds = video.currentTime;
  for (const element of [...buttons, ...rows]) {
    if (holds(element, seconds)) element.setAttribute("aria-current", "time");
    else element.removeAttribute("aria-current");
  }
  const strip = strips.find((one) => holds(one, seconds)) ?? strips.at(-1);
  const [start, end] = span(strip);
  strip.append(cursor);
  cursor.style.left = `${Math.min(1, (seconds - start) / (end - start)) * 100}%`;
  cursor.hidden = false;
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  clock.textContent = parts.map((part) => String(part).padStart(2, "0")).join(":");
}

function follow() {
  if (stopAt !== null && video.currentTime >= stopAt) {
    stopAt = null;
    video.pause();
  }
  mark();
}

function animate() {
  follow();
  if (!video.paused) requestAnimationFrame(animate);
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    const [start, end] = span(button);
    asked = start;
    video.currentTime = start;
    stopAt = Number(button.dataset.stop ?? end);
    video.play().catch(() => {});
  });
}
video.addEventListener("play", () => requestAnimationFrame(animate));
video.addEventListener("timeupdate", follow);
video.addEventListener("seeking", () => {
  if (Math.abs(video.currentTime - asked) > 0.01) stopAt = null;
});
video.addEventListener("error", () => { problem.hidden = false; });
if (video.error) problem.hidden = false;
mark();
"""


def check_embeddable(video: Path) -> None:
    """Refuse a recording that is too large to be put into a page.

    Raises:
        VideoError: it is, or it is missing.
    """
    try:
        num_bytes = video.stat().st_size
    except OSError as error:
        raise VideoError(
            f"{video}: cannot be read ({error.strerror})",
            "a video file",
            "check the path and its permissions.",
        ) from error
    if num_bytes > MAX_EMBEDDED_BYTES:
        raise VideoError(
            f"{video}: {num_bytes / 1e6:.1f} MB are too many for --embed",
            f"a recording of at most {MAX_EMBEDDED_BYTES // 1_000_000} MB",
            "leave out --embed: the page then plays the file from where it lies; or make a smaller "
            "copy, for example with 'ffmpeg -i VIDEO -vf scale=-2:360 -crf 30 small.mp4'.",
        )


def write_timeline_page(
    path: Path,
    video: Path,
    segments: Sequence[Segment],
    end_seconds: float,
    is_embedded: bool = False,
    address: str | None = None,
) -> None:
    """Write the page on which a click on a segment plays it.

    The page fetches nothing but the recording, which it expects where it lies now, seen from the
    page's own folder: move them together.

    Args:
        path: the page.
        video: the recording.
        segments: in order.
        end_seconds: where the recording ends.
        is_embedded: put the recording into the page.
        address: the address that ``video`` is a temporary copy of, which the page then plays.

    Raises:
        VideoError: the recording is too large to be put into the page.
        StorageError: the page cannot be written.
    """
    if is_embedded:
        check_embeddable(video)
        source = data_uri(video.read_bytes(), _media_type(video))
    else:
        source = address or address_from(path, video)
    text = render(
        "timeline.html",
        script=_SCRIPT,
        name=PurePosixPath(address).name if address else video.name,
        path=address or video,
        source=source,
        is_embedded=is_embedded,
        segments=segments,
        strips=wrap(segments, end_seconds, _MAX_STRIPS),
        end_seconds=end_seconds,
        clock_time=clock_time,
    )
    write_html(path, text)


def address_from(page: Path, video: Path) -> str:
    """Where the recording lies, seen from the page, as a browser is told it."""
    relative = os.path.relpath(video, page.parent)
    return quote(os.fsencode(relative))


def _media_type(video: Path) -> str:
    guessed = mimetypes.guess_type(video.name)[0] or ""
    return guessed if guessed.startswith("video/") else "video/mp4"
