"""The arithmetic of the conversion: turns quantised blocks into bfloat16, and undoes llama.cpp's order of rotary rows.

Every operation is a single float32 rounding in a fixed order, so the result is the same on every machine and can be
pinned by hash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from spectui.sources.demo_model.gguf_file import GgufTensor

Float32: TypeAlias = npt.NDArray[np.float32]
Bits16: TypeAlias = npt.NDArray[np.uint16]

_BLOCK = 32
_Q4_1 = np.dtype([("scale", "<f2"), ("minimum", "<f2"), ("nibbles", "u1", (_BLOCK // 2,))])
_Q8_0 = np.dtype([("scale", "<f2"), ("quants", "i1", (_BLOCK,))])
# Small enough to stay in a processor's cache, large enough to hide the cost of a numpy call.
_BLOCKS_AT_ONCE = 8192


def dequantise_f32(blocks: npt.NDArray[np.void]) -> Float32:
    """Plain float32 weights, unchanged."""
    weights: Float32 = blocks["weight"]
    return weights


def dequantise_q4_1(blocks: npt.NDArray[np.void]) -> Float32:
    """Q4_1: 32 weights per block, scale * (0..15) + minimum; the low nibbles are the first half of the block."""
    nibbles = blocks["nibbles"]
    quants: Float32 = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=1).astype(np.float32)
    quants *= blocks["scale"].astype(np.float32)[:, None]
    quants += blocks["minimum"].astype(np.float32)[:, None]
    return quants.reshape(-1)


def dequantise_q8_0(blocks: npt.NDArray[np.void]) -> Float32:
    """Q8_0: 32 weights per block, scale * (-128..127)."""
    quants: Float32 = blocks["quants"].astype(np.float32)
    quants *= blocks["scale"].astype(np.float32)[:, None]
    return quants.reshape(-1)


_KINDS: dict[str, tuple[np.dtype[np.void], Callable[[npt.NDArray[np.void]], Float32]]] = {
    "F32": (np.dtype([("weight", "<f4")]), dequantise_f32),
    "Q4_1": (_Q4_1, dequantise_q4_1),
    "Q8_0": (_Q8_0, dequantise_q8_0),
}


def round_to_bfloat16(weights: Float32) -> Bits16:
    """The bfloat16 bit patterns of finite float32 weights, rounded to nearest, ties to even."""
    bits = weights.view(np.uint32)
    tie = (bits >> np.uint32(16)) & np.uint32(1)
    rounded: npt.NDArray[np.uint32] = (bits + (tie + np.uint32(0x7FFF))) >> np.uint32(16)
    return rounded.astype("<u2")


def tensor_to_bfloat16(tensor: GgufTensor) -> Bits16:
    """A GGUF tensor (F32, Q4_1 or Q8_0) as bfloat16 bit patterns in the tensor's shape."""
    dtype, dequantise = _KINDS[tensor.kind]
    blocks: npt.NDArray[np.void] = np.frombuffer(tensor.data, dtype)
    pieces = [
        round_to_bfloat16(dequantise(blocks[start : start + _BLOCKS_AT_ONCE]))
        for start in range(0, len(blocks), _BLOCKS_AT_ONCE)
    ]
    return np.concatenate(pieces).reshape(tensor.shape)


def interleaved_rows_to_halves(rows: Bits16, heads: int) -> Bits16:
    """Undo llama.cpp's row order of a query or key projection.

    GGUF stores the rows of each head so that rotary pairs are neighbours (0, 32, 1, 33 ...); Hugging Face's Llama
    expects the first members of all pairs, then the second ones. ``heads`` is the number of heads in ``rows``.
    """
    width = rows.shape[1]
    pairs = rows.reshape(heads, -1, 2, width)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)
