"""Saves the screen as a picture or as text, with identical bytes for identical screens."""

from __future__ import annotations

import re
import zlib
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

from textual.app import App

from spectui.ui.paint.textual_private import strips

TITLE = "SpecTUI"


def svg(app: App[Any]) -> str:
    """The screen as an SVG picture.

    Textual derives names in it from the addresses of objects; here they are derived from what the picture shows, so
    that several pictures can be on one page.
    """
    drawn = re.sub(r"terminal-\d+-", "terminal-", app.export_screenshot(title=TITLE))
    # Otherwise programs such as rsvg-convert drop even the non-breaking spaces.
    drawn = drawn.replace("<svg ", '<svg xml:space="preserve" ', 1)
    return drawn.replace("terminal-", f"terminal-{zlib.crc32(drawn.encode())}-")


def rows(app: App[Any]) -> list[str]:
    """The screen as text, without trailing spaces."""
    return [strip.text.rstrip() for strip in strips(app.screen)]


def save(app: App[Any]) -> str:
    """Save the screen in the current folder, or pass it to the browser that shows it; returns a sentence that says
    where it is."""
    drawn = svg(app)
    if app.is_web:
        app.deliver_text(StringIO(drawn), save_filename="spectui.svg", mime_type="image/svg+xml")
        return "the picture of this screen is in your browser's downloads"
    for number in count(1):
        path = Path(f"spectui-{number}.svg")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(drawn)
        except FileExistsError:
            continue
        except OSError as error:
            return f"the picture cannot be saved in {_folder()}: {error.strerror or error}"
        return f"saved {path.absolute()}"
    raise AssertionError


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "the current folder, which no longer exists"
