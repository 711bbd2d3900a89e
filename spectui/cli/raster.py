"""Converts an SVG picture to PNG with whatever this machine has for it. Knows nothing of traces or screens."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from spectui.errors import RunError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE_S = 60.0


def png(svg: str) -> bytes:
    """The picture as PNG; the same program makes the same bytes each time.

    Raises:
        RunError: No program here can do it, or the program failed.
    """
    for way in (_by_rsvg, _by_browser):
        made = way(svg)
        if made is not None:
            return made
    raise RunError(
        "no rsvg-convert (package librsvg2-bin) or Chromium was found, and a PNG needs one: install it, or save as .svg"
    )


def _by_rsvg(svg: str) -> bytes | None:
    program = shutil.which("rsvg-convert")
    return None if program is None else _run([program, "--format", "png"], svg.encode())


def _by_browser(svg: str) -> bytes | None:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        picture, made = Path(folder, "picture.svg"), Path(folder, "picture.png")
        picture.write_text(svg, encoding="utf-8")
        width, height = size(svg)
        window = [f"--window-size={width},{height}", "--hide-scrollbars", "--default-background-color=00000000"]
        own = [f"--user-data-dir={folder}/profile", "--headless", "--disable-gpu"]
        # The picture names a font on the web; the result must not depend on whether that can be reached.
        own.append("--host-resolver-rules=MAP * ~NOTFOUND")
        if os.geteuid() == 0:
            # Chromium has no sandbox for root and would not start; it is shown nothing but this picture.
            own.append("--no-sandbox")
        _run([program, *own, *window, f"--screenshot={made}", picture.as_uri()])
        return made.read_bytes() if made.exists() else None


def size(svg: str) -> tuple[int, int]:
    """Width and height of the picture in points, rounded up."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None
    return math.ceil(float(box[1])), math.ceil(float(box[2]))


def _run(command: list[str], given: bytes = b"") -> bytes:
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"{name} made no PNG ({error}): save as .svg instead") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RunError(f"{name} made no PNG ({said[-1] if said else done.returncode}): save as .svg instead")
    return done.stdout
