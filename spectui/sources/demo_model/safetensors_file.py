"""Writes a safetensors file tensor by tensor, so that only one tensor at a time is in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

BfloatTensor: TypeAlias = tuple[str, tuple[int, ...], Callable[[], memoryview]]
"""Name, shape, and a function that returns the bfloat16 bytes when they are needed."""

WEIGHTS_FILE = "model.safetensors"

_ALIGNMENT = 8
_BYTES_PER_WEIGHT = 2


def _size(shape: tuple[int, ...]) -> int:
    size = _BYTES_PER_WEIGHT
    for length in shape:
        size *= length
    return size


def _header(tensors: list[BfloatTensor]) -> bytes:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape, _ in tensors:
        end = offset + _size(shape)
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def write_bfloat16(path: Path, tensors: Iterable[BfloatTensor], progress: Callable[[int, int], None]) -> str:
    """Write the tensors, sorted by name, and flush them to the disk; returns the sha256 of the file.

    ``progress`` is called with (bytes written, bytes in total) after each tensor.

    Raises:
        OSError: The disk refused to write.
    """
    ordered = sorted(tensors, key=lambda tensor: tensor[0])
    header = _header(ordered)
    total = len(header) + sum(_size(shape) for _, shape, _ in ordered)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in _pieces(header, ordered):
            file.write(piece)
            digest.update(piece)
            progress(file.tell(), total)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _pieces(header: bytes, tensors: list[BfloatTensor]) -> Iterator[bytes | memoryview]:
    yield header
    for name, shape, read in tensors:
        data = read()
        if data.nbytes != _size(shape):
            raise ValueError(f"tensor {name} has {data.nbytes} bytes, its shape needs {_size(shape)}")
        yield data
