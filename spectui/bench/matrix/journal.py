"""A benchmark's journal: a line of JSON for everything that was measured, as soon as it was, so that nothing is lost.

The first line is the header with the matrix; later lines are turns and results of checks. Everything else in the folder
is derived from it. A line that a kill cut short was never written.
"""

from __future__ import annotations

import json
import os
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
    """

    folder: Path
    header: Header
    matrix: Matrix
    left_out: tuple[str, ...] = ()
    smoke: dict[str, Any] = field(default_factory=dict)
    turns: list[TurnRecord] = field(default_factory=list)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)

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
            with self.path.open("x", encoding="utf-8") as file:
                _write(file, first)
        except FileExistsError as error:
            raise _taken(self.folder) from error

    def add(self, turn: TurnRecord) -> None:
        """Keep a turn that counts."""
        self.turns.append(turn)
        self._append({"kind": "turn", "turn": as_data(turn)})

    def add_check(self, kind: str, lane: str, result: Any) -> None:
        """Keep what a check of the given kind found about a lane; ``result`` is made of what JSON has."""
        self.checks.setdefault(kind, {})[lane] = result
        self._append({"kind": "check", "check": kind, "lane": lane, "result": result})

    def _append(self, entry: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            _write(file, entry)


def check_free(folder: Path) -> None:
    """Refuse a folder that has results already, before minutes are spent.

    Raises:
        UsageError: It has.
    """
    if (folder / FILE).exists():
        raise _taken(folder)


def _taken(folder: Path) -> UsageError:
    return UsageError(f"{folder} already has results: continue with --resume {folder}, or choose another --out")


def _write(file: Any, entry: dict[str, Any]) -> None:
    file.write(json.dumps(entry, separators=(",", ":")) + "\n")
    file.flush()
    os.fsync(file.fileno())


def open_journal(folder: Path) -> Journal:
    """Read a journal, to continue it; what a kill cut short is removed.

    Raises:
        UsageError: The folder has none.
        RunError: It cannot be understood.
    """
    path = folder / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{folder} has no {FILE}: --resume needs the folder of a benchmark") from None
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        with path.open("r+b") as file:
            file.truncate(len(whole))
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
                f"{path}, line {number} cannot be read: {why}; restore the file, or start a new benchmark"
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
    elif entry["kind"] == "check":
        journal.checks.setdefault(entry["check"], {})[entry["lane"]] = entry["result"]
