"""What a command prints outside the guarded terminal: text that every stream takes, and one sentence when none does.

Owns `sys.stdout` and `sys.stderr` for the length of a command, and what becomes of what they refuse. Imported before
anything else, so it imports nothing heavy.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO

ERRORS = "spectui"
"""Name of the codec error handler: a sign that an encoding lacks is written with the characters of ASCII."""

_TITLES = {"stdout": "standard output", "stderr": "standard error"}
_PLAIN = {
    # Dashes, quotation marks, the ellipsis and the fixed space; signs of ours.
    **dict.fromkeys("\u2013\u2014\u2212", "-"),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    "\u2026": "...",
    "\xa0": " ",
    "\xd7": "x",
    **dict(zip("✓✗→°", "+x> ", strict=True)),
}
_UNSEEN = re.compile(
    # Control characters, line ends, what turns the direction of text or takes no room, and halves of characters. The
    # two joiners stay: letters of many scripts, and the signs of families, are spelled with them.
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff]"
)


def visible(text: str) -> str:
    """The text on one line, with everything that a terminal would obey, and not show, written as an escape.

    Whatever is printed goes through here, or through `as_json`; what is drawn on the screen goes through
    `spectui.ui.paint.cells` instead, which also knows cells.
    """
    return _UNSEEN.sub(lambda found: _escaped(found[0]), text)


def as_json(value: object) -> str:
    """``value`` as JSON that can be printed: JSON itself lets one control character through, DEL."""
    import json

    return json.dumps(value, indent=2).replace("\x7f", "\\u007f")


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte of a file name that is no UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or _escaped(char) for char in refused), error.end


codecs.register_error(ERRORS, _replacement)


class _Stream(io.TextIOWrapper):
    """Text that is never refused for its characters; what the file refuses says which stream it was."""

    title = ""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._named(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._named(error) from None

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, self.title)


def _stream(buffer: BinaryIO, like: TextIO, title: str) -> _Stream:
    safe = _Stream(buffer, encoding=like.encoding, errors=ERRORS, line_buffering=bool(like.line_buffering))
    safe.title = title
    return safe


@contextmanager
def safe_streams() -> Iterator[None]:
    """For the block, `sys.stdout` and `sys.stderr` take every text, and a closed descriptor is one to nowhere."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # The next file that is opened would get this number, and what is printed would go into it.
            os.open(os.devnull, os.O_RDWR)
    before = {"stdout": sys.stdout, "stderr": sys.stderr}
    # Python has no stream for a descriptor that was closed.
    given = {name: one or _nowhere() for name, one in before.items()}
    made: dict[str, _Stream] = {}
    for name, one in given.items():
        if isinstance(one, io.TextIOWrapper):
            with suppress(OSError):
                one.flush()
            made[name] = _stream(one.buffer, one, _TITLES[name])
    vars(sys).update(given | made)
    try:
        yield
    finally:
        with suppress(OSError):
            flush()
        for safe in made.values():
            safe.detach()
        vars(sys).update(before)


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def moved(stream: TextIO, fd: int) -> TextIO:
    """The stream ``stream`` on another descriptor, which it closes with itself."""
    return _stream(os.fdopen(fd, "wb"), stream, getattr(stream, "title", ""))


def flush() -> None:
    """Send what is still held back; a stream that refuses it leads nowhere from then on.

    Otherwise Python would complain in its own words at the very end.

    Raises:
        OSError: Something was refused; the error's ``filename`` says by which stream.
    """
    refused: OSError | None = None
    for one in (sys.stdout, sys.stderr):
        try:
            one.flush()
        except OSError as error:
            refused = refused or error
            _abandon(one)
    if refused is not None:
        raise refused


def abandon() -> None:
    """Drop what is held back, for an end that must not wait for a reader."""
    for one in (sys.stdout, sys.stderr):
        _abandon(one)


def _abandon(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        fd = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, fd)
        os.close(null)
    with suppress(OSError, ValueError):
        stream.flush()


def sentence(error: OSError | UnicodeError) -> str:
    """What an error of the system's says, where, in one line."""
    if isinstance(error, UnicodeError):
        return f"some text cannot be written: {error}"
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return reason
    return f"{os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename}: {reason}"


def tell(line: str) -> None:
    """Print one line on standard error, as far as anybody listens."""
    with suppress(OSError):
        print(visible(line), file=sys.stderr, flush=True)
