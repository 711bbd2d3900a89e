"""Records what a finished checkpoint directory holds, so that start-up can trust it without reading the weights."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

MANIFEST_FILE = "spectui-manifest.json"
# Increase this when the files written beside the weights change, so that older caches are rebuilt.
FORMAT = 1
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes, sha256 in hex, and modification time in nanoseconds of one file."""

    size: int
    sha256: str
    mtime_ns: int


Records = dict[str, FileRecord]


def hash_file(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """The sha256 of a file in hex; ``progress`` is called with the bytes read so far."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if progress is not None:
                progress(file.tell())
    return digest.hexdigest()


def record_directory(directory: Path, known: dict[str, str]) -> Records:
    """Write and return the manifest of a finished directory; ``known`` holds hashes that need not be computed again."""
    records: Records = {}
    for path in sorted(directory.iterdir()):
        if path.name != MANIFEST_FILE:
            stat = path.stat()
            records[path.name] = FileRecord(stat.st_size, known.get(path.name) or hash_file(path), stat.st_mtime_ns)
    _write(directory, records)
    return records


def _write(directory: Path, records: Records) -> None:
    content = {"format": FORMAT, "files": {name: asdict(record) for name, record in records.items()}}
    temporary = directory / f"{MANIFEST_FILE}.new"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / MANIFEST_FILE)


def read_manifest(directory: Path, expected: dict[str, str]) -> Records | None:
    """The records of a directory, or None if it has no manifest of this format with the ``expected`` hashes."""
    try:
        content = json.loads((directory / MANIFEST_FILE).read_bytes())
        if content["format"] != FORMAT:
            return None
        records = {name: FileRecord(**record) for name, record in content["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if any(name not in records or records[name].sha256 != sha256 for name, sha256 in expected.items()):
        return None
    return records


def unchanged(directory: Path, records: Records) -> bool:
    """Whether every file still has its recorded size and modification time."""
    try:
        stats = {name: (directory / name).stat() for name in records}
    except OSError:
        return False
    return all(
        (stats[name].st_size, stats[name].st_mtime_ns) == (record.size, record.mtime_ns)
        for name, record in records.items()
    )


def _report_sum(progress: Callable[[int, int], None], before: int, total: int, read: int) -> None:
    progress(before + read, total)


def restore_times(directory: Path, records: Records, progress: Callable[[int, int], None]) -> bool:
    """Accept a directory whose times have changed (a copy, a backup) if all its bytes still have the recorded hashes.

    On success the manifest is rewritten with the new times. ``progress`` is called with (bytes read, bytes in total).
    """
    total, before = sum(record.size for record in records.values()), 0
    try:
        for name, record in records.items():
            path, so_far = directory / name, partial(_report_sum, progress, before, total)
            if path.stat().st_size != record.size or hash_file(path, so_far) != record.sha256:
                return False
            before += record.size
        record_directory(directory, {name: record.sha256 for name, record in records.items()})
    except OSError:
        return False
    return True
