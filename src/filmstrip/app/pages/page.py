"""A template and what it shows become one HTML file that fetches nothing and trusts nothing.

What data says (names of files and classes, messages of decoders) is hostile until escaped: Jinja
escapes every value, and the page's Content-Security-Policy forbids it to load or run what is not
written here. The house style is ``style.css``; every page extends ``base.html`` and takes its
parts (bars, figures, tables that scroll) from ``parts.html``.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from filmstrip.storage import replacing
from filmstrip.text import printable


def render(template: str, *, script: str = "", **content: Any) -> str:
    """The text of a page.

    Args:
        template: a file of this folder that extends ``base.html``.
        script: JavaScript of our own for the end of the page, never made of data; no other runs.
        content: what the template shows; every text in it is escaped.
    """
    script_hash = b64encode(sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(script=Markup(script), script_hash=script_hash, **content)  # noqa: S704
    )


def write_html(path: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    with replacing(path) as temporary:
        # File names need not be text.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def data_uri(content: bytes, media_type: str) -> str:
    """Bytes as an address that holds them, for ``src``: ``data:image/png;base64,…``."""
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def _shown(value: Any) -> Any:
    """A value as the page shows it: without control characters, which names may contain."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value, keep_newlines=True) if is_text else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("filmstrip.app.pages", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["data_uri"] = data_uri
    return environment
