"""A benchmark's journal: a line of JSON for everything that was measured, as soon as it was, so that nothing is lost.

The first line is the header with the matrix; later lines are turns and results of checks. Everything else in the folder
is derived from it. A line that a kill cut short was never written.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spectui.core.bench.codec import as_data, from_data
from spectui.core.bench.matrix import Matrix
from spectui.core.bench.records import TurnRecord
from spectui.core.bench.results import SCHEMA, Header
from spectui.errors import RunError, UsageError

FILE = "journal.jsonl"


@dataclass(slots=True)
class Journal:
    """A benchmark so far.

    Attributes:
        folder: The folder of its results.
        header: What was known before the first measurement.
        matrix: What is measured.
        left_out: Sentences about what a budget left out.
        smoke: What the smoke test saw, by lane.
        turns: The turns that count.
        checks: Results of checks by their kind, then by lane.
        lost: How lanes died, in a sentence, by lane.
    """

    folder: Path
    header: Header
    matrix: Matrix
    left_out: tuple[str, ...] = ()
    smoke: dict[str, Any] = field(default_factory=dict)
    turns: list[TurnRecord] = field(default_factory=list)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    _file: int | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def begin(self) -> None:
        """Write the first line.

        Raises:
            UsageError: The folder has results already.
            OSError: It cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        first = {
            "kind": "header",
            "schema": SCHEMA,
            "header": as_data(self.header),
            "matrix": as_data(self.matrix),
            "left_out": list(self.left_out),
            "smoke": self.smoke,
        }
        try:
            self._hold(os.O_CREAT | os.O_EXCL)
        except FileExistsError as error:
            raise _taken(self.folder) from error
        self._append(first)

    def add(self, turn: TurnRecord) -> None:
        """Keep a turn that counts.

        Raises:
            OSError: It cannot be written; then it is not kept.
        """
        self._append({"kind": "turn", "turn": as_data(turn)})
        self.turns.append(turn)

    def add_lost(self, lane: str, why: str) -> None:
        """Keep that a lane died, and how.

        Raises:
            OSError: It cannot be written; then it is not kept.
        """
        self._append({"kind": "lost", "lane": lane, "why": why})
        self.lost[lane] = why

    def add_check(self, kind: str, lane: str, result: Any) -> None:
        """Keep what a check of the given kind found about a lane; ``result`` is made of what JSON has.

        Raises:
            OSError: It cannot be written; then it is not kept.
        """
        self._append({"kind": "check", "check": kind, "lane": lane, "result": result})
        self.checks.setdefault(kind, {})[lane] = result

    def close(self) -> None:
        """Let another process continue the benchmark."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _hold(self, how: int = 0) -> None:
        """Open the file for adding lines, and keep all other processes from doing that.

        The lock is one of the process, not of the file's descriptor: child processes of engines do not inherit it.
        """
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | how, 0o666)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                os.close(file)
                raise RunError(
                    f"{self.folder} is being measured by another process: wait for its end, or stop it"
                ) from None
            # Otherwise the file system knows no locks.
        self._file = file

    def _append(self, entry: dict[str, Any]) -> None:
        """Write a line to its end, or not at all."""
        if self._file is None:
            self._hold()
        assert self._file is not None
        line = (json.dumps(entry, separators=(",", ":")) + "\n").encode()
        before = os.fstat(self._file).st_size
        try:
            left = line
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, before)
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def check_free(folder: Path, *, named: bool = True) -> None:
    """Refuse a folder that has results already, or that cannot be written, before minutes are spent. Leaves nothing
    behind.

    Args:
        folder: Where results are to go.
        named: Whether the user named it.

    Raises:
        UsageError: It is such a folder.
    """
    if (folder / FILE).exists():
        raise _taken(folder)
    made: list[Path] = []
    try:
        for one in (folder, *folder.parents):
            if one.exists():
                break
            made.append(one)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        why = "it is a file" if folder.is_file() else getattr(error, "strerror", None) or str(error)
        where, other = ("--out ", "another folder") if named else ("", "a folder with --out")
        raise UsageError(f"{where}{folder}: results cannot be written there: {why}; choose {other}") from error
    finally:
        for one in made:
            with suppress(OSError):
                one.rmdir()


def _taken(folder: Path) -> UsageError:
    return UsageError(f"{folder} already has results: continue with --resume {folder}, or choose another --out")


def open_journal(folder: Path) -> Journal:
    """Read a journal, which another process may be writing.

    Raises:
        UsageError: The folder has none.
        RunError: It cannot be understood.
    """
    try:
        data = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder} has no {FILE}: --resume needs the folder of a benchmark") from None
    return _read(folder, data[: data.rfind(b"\n") + 1])


def continue_journal(folder: Path) -> Journal:
    """Read a journal, to continue it; what a kill cut short is removed.

    Raises:
        UsageError: The folder has none.
        RunError: It cannot be understood, or another process is measuring.
        OSError: It cannot be written.
    """
    journal = open_journal(folder)
    journal._hold()
    file = journal._file
    assert file is not None
    try:
        # Once more: what came in between counts as well. Closing another descriptor of the file would end the lock.
        data = b"".join(iter(lambda: os.read(file, 1 << 20), b""))
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            os.ftruncate(file, len(whole))
        again = _read(folder, whole)
    except BaseException:
        journal.close()
        raise
    again._file, journal._file = journal._file, None
    return again


def _read(folder: Path, whole: bytes) -> Journal:
    lines = whole.splitlines()
    if not lines:
        raise UsageError(f"{folder} has no measurements: remove it, and start again without --resume")
    journal: Journal | None = None
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if journal is None:
                journal = _opened(folder, entry)
            else:
                _take(journal, entry)
        except (ValueError, KeyError, TypeError) as error:
            why = str(error).splitlines()[0]
            raise RunError(
                f"{folder / FILE}, line {number} cannot be read: {why}; restore the file, or start a new benchmark"
            ) from error
    assert journal is not None
    return journal


def _opened(folder: Path, entry: dict[str, Any]) -> Journal:
    if entry["schema"] > SCHEMA:
        newer = f"was written by a newer version of SpecTUI (schema {entry['schema']}, known up to {SCHEMA})"
        raise RunError(f"{folder / FILE} {newer}: update SpecTUI")
    return Journal(
        folder,
        from_data(entry["header"], Header),
        from_data(entry["matrix"], Matrix),
        tuple(entry["left_out"]),
        entry["smoke"],
    )


def _take(journal: Journal, entry: dict[str, Any]) -> None:
    if entry["kind"] == "turn":
        journal.turns.append(from_data(entry["turn"], TurnRecord))
    elif entry["kind"] == "lost":
        journal.lost[entry["lane"]] = entry["why"]
    elif entry["kind"] == "check":
        journal.checks.setdefault(entry["check"], {})[entry["lane"]] = entry["result"]
