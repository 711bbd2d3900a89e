"""The log of a run: where it is, what goes into it, and how the screen reads its end.

Owns: the log file, the handlers of the standard library's logging, and where vLLM's own logging goes.
Must not know: widgets, engines. Everything written to descriptors 1 and 2 goes into the same file; see terminal.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from collections import deque
from pathlib import Path

from spectui import places
from spectui.errors import RunError

KEPT_RUNS = 10

VLLM_STREAM = "ext://spectui.runtime.logs.stream"
"""This module's `stream`, as the standard library's logging configuration names it."""

_VLLM_SETTINGS = ("VLLM_LOGGING_STREAM", "VLLM_LOGGING_CONFIG_PATH", "VLLM_CONFIGURE_LOGGING")
_SEE_LOG = "; the log has the details"
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_file() -> Path:
    """Create a new, empty log file for this run; the last nine of older runs are kept, and those of running ones.

    It is in the user's log folder, or where SPECTUI_LOG_DIR says; without a writable home, in the temporary folder.

    Raises:
        RunError: SPECTUI_LOG_DIR, or the temporary folder, cannot be written to.
    """
    try:
        try:
            return _new_file(places.log_folder())
        except OSError:
            if os.environ.get(places.LOG_VARIABLE):
                raise
            return _new_file(places.spare_log_folder())
    except OSError as error:
        where, why = error.filename or "the temporary folder", error.strerror or error
        raise RunError(
            f"no log can be kept in {where} ({why}): set {places.LOG_VARIABLE} to a folder for it"
        ) from error


def without_log(sentence: str) -> str:
    """The sentence without its final hint about the log, for places where the log's name follows it."""
    sentence = sentence.removesuffix(_SEE_LOG)
    return sentence if sentence.endswith("...") else sentence.removesuffix(".")


class LogStream:
    """Text to the log, one write per call, so that lines of several threads and processes do not mix.

    In a child process of vLLM that did not call `configure`, it is descriptor 2, which the child inherited as the log.
    """

    def __init__(self) -> None:
        self._fd = 2

    def write(self, text: str) -> int:
        """Append the text. A full disk is no reason to stop an engine, so what cannot be written is lost."""
        with contextlib.suppress(OSError):
            os.write(self._fd, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: no text is ever held back."""

    def isatty(self) -> bool:
        """Always False, so that nothing is coloured."""
        return False

    def append_to(self, path: Path) -> None:
        """Write to ``path`` from now on.

        Raises:
            OSError: The file cannot be opened; nothing changed.
        """
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        before, self._fd = self._fd, fd
        if before != 2:
            os.close(before)


stream = LogStream()


class _Handler(logging.StreamHandler[LogStream]):
    """Our own class, so that a second `configure` recognises the handler."""


class _Early(logging.Handler):
    """Holds what was logged before there was a file."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


_early = _Early()


def hold() -> None:
    """Hold what the program logs until `configure` names a file: otherwise Python would print it on the terminal."""
    logging.getLogger("spectui").addHandler(_early)


def configure(path: Path) -> None:
    """Send everything that is logged to ``path``: held records, and those of vLLM, transformers and torch.

    vLLM configures its logger anew for every engine and drops the handlers that it finds. It keeps only the name of the
    stream that its own handler writes to, an environment variable, which worker processes inherit too. A user's own
    VLLM_LOGGING_* settings are kept.

    Raises:
        OSError: The file cannot be opened.
    """
    stream.append_to(path)
    if not any(name in os.environ for name in _VLLM_SETTINGS):
        os.environ["VLLM_LOGGING_STREAM"] = VLLM_STREAM
    handler = _Handler(stream)
    handler.setFormatter(logging.Formatter(_FORMAT))
    # transformers keeps its records from the root logger; torch does not.
    for logger in (logging.getLogger(), logging.getLogger("transformers")):
        for old in [old for old in logger.handlers if isinstance(old, _Handler)]:
            logger.removeHandler(old)
        logger.addHandler(handler)
    for name in ("spectui", "vllm"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("spectui").removeHandler(_early)
    while _early.records:
        handler.handle(_early.records.pop(0))
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_exception


class LogTail:
    """Follows the end of a growing log file. Cheap if nothing was added, and never raises."""

    BACKLOG = 1 << 20
    """Most bytes that one poll reads; older text is skipped, with a line that says so."""
    LONGEST = 1 << 16
    """Bytes after which a line without an end counts as a line."""

    def __init__(self, path: Path, keep: int = 2000) -> None:
        """Follow ``path``, which need not exist yet, keeping the last ``keep`` lines."""
        self.path = path
        self.lines: deque[str] = deque(maxlen=keep)
        """The last lines, without line ends, escape sequences and control characters."""
        self._fd: int | None = None
        self._offset = 0
        self._partial = b""

    def poll(self) -> list[str]:
        """The complete lines added since the last call, at most as many as are kept."""
        try:
            data, skipped = self._read()
        except OSError:
            return []
        *whole, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > self.LONGEST:
            whole.append(self._partial)
            self._partial = b""
        fresh = [_clean(line) for line in whole[-(self.lines.maxlen or 0) :]]
        if skipped:
            fresh.insert(0, f"[{skipped} bytes skipped]")
        self.lines.extend(fresh)
        return fresh

    def close(self) -> None:
        """Close the file; a later poll opens it again where it stopped."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _read(self) -> tuple[bytes, int]:
        if self._fd is None:
            self._fd = os.open(self.path, os.O_RDONLY)
        size = os.fstat(self._fd).st_size
        if size < self._offset:
            self._offset, self._partial = 0, b""
        skipped = max(0, size - self._offset - self.BACKLOG)
        if skipped:
            self._offset, self._partial = self._offset + skipped, b""
        data = os.pread(self._fd, self.BACKLOG, self._offset) if size > self._offset else b""
        self._offset += len(data)
        return data, skipped


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|\Z)|[ -/]*[0-~])")
_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)))
_LONGEST_SHOWN = 4000


def _clean(line: bytes) -> str:
    # A progress bar rewrites its line; the last state is what a terminal would show.
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
    if not text.isprintable():
        text = _ESCAPES.sub("", text).expandtabs().translate(_CONTROLS)
    return text[:_LONGEST_SHOWN]


def _new_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"spectui-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    path.touch(mode=0o600)
    older = sorted(other for other in folder.glob("spectui-*-*.log") if other != path)
    for other in older[: 1 - KEPT_RUNS]:
        if not _running(other.stem.rpartition("-")[2]):
            with contextlib.suppress(OSError):
                other.unlink()
    return path


def _running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _log_thread_exception(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    name = args.thread.name if args.thread is not None else "unknown"
    where = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger("spectui").error("exception in thread %s", name, exc_info=where)
