"""Items into packets: each is turned into bytes once, however many viewers there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Raw

from spectui.wire.messages import MOST_BYTES, PACKET_BYTES, VERSION, Item, encode

_ENVELOPE_BYTES = 64


def packed(items: Sequence[Item]) -> Iterator[bytes | None]:
    """The ``items`` of one packet after the other, as bytes; None in place of an item that no viewer would read because
    it is too long."""
    if not items:
        return
    together = encode(items)
    if len(together) <= PACKET_BYTES:
        yield together
        return
    kept: list[Raw] = []
    size = 0
    for item in items:
        one = encode(item)
        if kept and size + len(one) > PACKET_BYTES:
            yield encode(kept)
            kept, size = [], 0
        if len(one) + _ENVELOPE_BYTES > MOST_BYTES:
            yield None
            continue
        kept.append(Raw(one))
        size += len(one)
    if kept:
        yield encode(kept)


def packet(session: str, number: int, at_ns: int, items: bytes) -> bytes:
    """A `Packet` around items that are bytes already."""
    return encode((VERSION, session, number, at_ns, Raw(items)))
