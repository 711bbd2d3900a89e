"""What a command prints outside the guarded terminal: text that every stream accepts, and one sentence if none does.

Owns `sys.stdout` and `sys.stderr` for the duration of a command, and decides what happens to output that they refuse.
Imported before anything else, so it imports nothing heavy.
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
"""Name of the codec error handler: a character that an encoding lacks is written in ASCII."""

_TITLES = {"stdout": "standard output", "stderr": "standard error"}
_PLAIN = {
    # Dashes, quotation marks, the ellipsis, the no-break space, and our own symbols.
    **dict.fromkeys("\u2013\u2014\u2212", "-"),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    "\u2026": "...",
    "\xa0": " ",
    "\xd7": "x",
    **dict(zip("✓✗→°", "+x> ", strict=True)),
}
_UNSEEN = re.compile(
    # Control characters, line ends, characters that change the direction of text or take no room, and halves of
    # characters. The two joiners stay: letters of many scripts, and family emoji, are spelled with them.
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff]"
)


def visible(text: str) -> str:
    """The text on one line; everything that a terminal would obey instead of showing it is written as an escape.

    Everything that is printed goes through here, or through `as_json`; what is drawn on the screen goes through
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
        # A byte of a file name that is not UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or _escaped(char) for char in refused), error.end


codecs.register_error(ERRORS, _replacement)


class _Stream(io.TextIOWrapper):
    """Text that is never refused because of its characters; an error of the file names the stream."""

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
    """For the block, make `sys.stdout` and `sys.stderr` accept any text, and lead closed descriptors nowhere."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # The next file to be opened would get this number, and printed text would go into it.
            os.open(os.devnull, os.O_RDWR)
    before = {"stdout": sys.stdout, "stderr": sys.stderr}
    # Python has no stream for a closed descriptor.
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
    """``stream`` on another descriptor, which is closed together with it."""
    return _stream(os.fdopen(fd, "wb"), stream, getattr(stream, "title", ""))


def flush() -> None:
    """Flush both streams; a stream that refuses leads nowhere from then on.

    Otherwise Python would complain in its own words at the very end.

    Raises:
        OSError: A stream refused something; the error's ``filename`` says which stream.
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
    """Drop buffered output, for an end that must not wait for a reader."""
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
    """Describe a system error, and where it happened, in one line."""
    if isinstance(error, UnicodeError):
        return f"some text cannot be written: {error}"
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return reason
    return f"{os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename}: {reason}"


def tell(line: str) -> None:
    """Print one line on standard error, if anybody is listening."""
    with suppress(OSError):
        print(visible(line), file=sys.stderr, flush=True)
