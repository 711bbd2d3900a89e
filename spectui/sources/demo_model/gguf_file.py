"""Reads the GGUF container (version 3, little endian): metadata, and tensors as raw quantised blocks.

Written for speed on one known file: the gguf package's general reader needs seconds for a vocabulary.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

Scalar: TypeAlias = bool | int | float | str
Metadata: TypeAlias = dict[str, Scalar | list[Scalar]]

_MAGIC = b"GGUF"
_VERSION = 3
_DEFAULT_ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# ggml type number: name, weights in a block, bytes of a block.
_TENSOR_KINDS = {0: ("F32", 1, 4), 3: ("Q4_1", 32, 20), 8: ("Q8_0", 32, 34)}


class GgufError(ValueError):
    """The bytes are not a GGUF file that this reader understands."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor as stored: ``shape`` starts with the outermost dimension, ``data`` holds whole blocks of type
    ``kind``."""

    name: str
    shape: tuple[int, ...]
    kind: str
    data: memoryview


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The content of a GGUF file; tensors share the buffer they were read from."""

    metadata: Metadata
    tensors: dict[str, GgufTensor]


class _Cursor:
    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.offset = 0

    def take(self, count: int) -> memoryview:
        end = self.offset + count
        if end > len(self.buffer):
            raise GgufError(f"GGUF file ends at byte {len(self.buffer)}, but byte {end} is needed")
        piece = self.buffer[self.offset : end]
        self.offset = end
        return piece

    def numbers(self, code: str, count: int) -> list[Scalar]:
        layout = f"<{count}{code}"
        return list(struct.unpack(layout, self.take(struct.calcsize(layout))))

    def unsigned(self, code: str) -> int:
        layout = f"<{code}"
        (number,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(number)

    def string(self) -> str:
        return str(self.take(self.unsigned("Q")), "utf-8")

    def value(self, kind: int) -> Scalar | list[Scalar]:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            item_kind, count = self.unsigned("I"), self.unsigned("Q")
            if item_kind == _STRING:
                return [self.string() for _ in range(count)]
            return self.numbers(_scalar_code(item_kind), count)
        return self.numbers(_scalar_code(kind), 1)[0]


def _scalar_code(kind: int) -> str:
    try:
        return _SCALARS[kind]
    except KeyError:
        raise GgufError(f"GGUF metadata type {kind} is not supported") from None


def read_gguf(buffer: bytes | memoryview) -> GgufFile:
    """Parse a whole GGUF file.

    Raises:
        GgufError: The bytes are not GGUF version 3, are cut short, or use a tensor type other than F32, Q4_1 and Q8_0.
    """
    cursor = _Cursor(memoryview(buffer))
    if bytes(cursor.take(4)) != _MAGIC:
        raise GgufError("not a GGUF file: the first four bytes are wrong")
    if (version := cursor.unsigned("I")) != _VERSION:
        raise GgufError(f"GGUF version {version} is not supported, only {_VERSION}")
    tensor_count, metadata_count = cursor.unsigned("Q"), cursor.unsigned("Q")
    metadata: Metadata = {}
    for _ in range(metadata_count):
        key = cursor.string()
        metadata[key] = cursor.value(cursor.unsigned("I"))
    headers = [_tensor_header(cursor) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise GgufError(f"GGUF alignment {alignment!r} is not a positive number")
    start = -(-cursor.offset // alignment) * alignment
    return GgufFile(metadata, {header[0]: _tensor(cursor, start, *header) for header in headers})


def _tensor_header(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name = cursor.string()
    innermost_first = [cursor.unsigned("Q") for _ in range(cursor.unsigned("I"))]
    return name, tuple(reversed(innermost_first)), cursor.unsigned("I"), cursor.unsigned("Q")


def _tensor(
    cursor: _Cursor, start: int, name: str, shape: tuple[int, ...], type_number: int, offset: int
) -> GgufTensor:
    try:
        kind, block_weights, block_bytes = _TENSOR_KINDS[type_number]
    except KeyError:
        raise GgufError(f"tensor {name} has GGUF type {type_number}, which is not supported") from None
    if prod(shape) % block_weights:
        raise GgufError(f"tensor {name} does not fill whole {kind} blocks")
    cursor.offset = start + offset
    return GgufTensor(name, shape, kind, cursor.take(prod(shape) // block_weights * block_bytes))
