"""What nobody should send to a server: bytes that are no message of a viewer's, and connections that are none."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections.abc import Iterator

import msgspec

from spectui.wire.messages import VERSION, AskWords, SetK, Watch, encode

LONG = b"x" * 2_000_000

_pack = msgspec.msgpack.encode
_WRONG: list[object] = [None, True, -1, 2**63, 2**64 - 1, 1.5, float("nan"), "text", b"bytes", [], {}, [[]], {"k": 1}]
# Not "leave": it has no fields, and later ones are passed over.
_TAGS = ["watch", "set_k", "ask_words", "about", "packet", "", "watch\0", "WATCH", 7, None]


def asks(count: int, seed: int = 0) -> Iterator[list[bytes]]:
    """``count`` messages as lists of parts; none of them is one of the viewers'."""
    rng = random.Random(seed)
    for _ in range(count):
        yield _KINDS[rng.randrange(len(_KINDS))](rng)


def _random_bytes(rng: random.Random) -> list[bytes]:
    # 0xc1 is never used by msgpack, so no luck makes a message of it.
    return [b"\xc1" + rng.randbytes(rng.randrange(200))]


def _truncated(rng: random.Random) -> list[bytes]:
    whole = encode(rng.choice([Watch(VERSION, True), SetK(1, 2), AskWords(3, 4)]))
    return [whole[: rng.randrange(len(whole))]]


def _wrong_types(rng: random.Random) -> list[bytes]:
    tag = rng.choice(_TAGS)
    fields = [rng.choice(_WRONG) for _ in range(rng.randrange(6))]
    # A list in the second place is none of any message's fields.
    return [_pack([tag, ["wrong"], *fields])]


def _no_message(rng: random.Random) -> list[bytes]:
    return [_pack(rng.choice(_WRONG))]


def _huge_list(rng: random.Random) -> list[bytes]:
    kind = rng.randrange(3)
    if kind == 0:
        # Says that four billion fields follow.
        return [b"\xdd\xff\xff\xff\xff" + _pack("watch")]
    if kind == 1:
        return [b"\xc6\xff\xff\xff\xff" + b"short"]
    return [_pack(["set_k", "one", *range(1_000)])]


def _nested(rng: random.Random) -> list[bytes]:
    return [rng.choice([b"\x91" * 4_000, b"\x93\xa5watch" + b"\x91" * 3_000, b"\x81\xa1a" * 1_000])]


def _parts(rng: random.Random) -> list[bytes]:
    return [encode(Watch(VERSION)), *[b""] * rng.randrange(1, 20)]


def _empty(rng: random.Random) -> list[bytes]:
    return [b""]


_KINDS = [_random_bytes, _truncated, _wrong_types, _no_message, _huge_list, _nested, _parts, _empty]

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01NULL" + b"\0" * 16 + b"\0" + b"\0" * 31
READY = b"\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"


class Stranger:
    """A TCP connection that speaks as it likes."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=5)

    def say(self, data: bytes) -> None:
        """Send it; a server may have hung up already."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()


def openings(rng: random.Random) -> bytes:
    """The first bytes of a connection that is no viewer's."""
    frame = b"\x02" + struct.pack(">Q", rng.choice([2**63 - 1, 2**40, 2_000_000])) + b"x" * 100
    return rng.choice(
        [
            b"",
            b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00" + rng.randbytes(100),
            rng.randbytes(500),
            GREETING[: rng.randrange(len(GREETING))],
            GREETING + rng.randbytes(64),
            GREETING + READY + frame,
            GREETING + READY + b"\x01\x05short"[: rng.randrange(7)],
        ]
    )
