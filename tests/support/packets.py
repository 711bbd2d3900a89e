"""Packets of every kind, sensible or not, for tests that feed a viewer whatever a server could send."""

from __future__ import annotations

import random
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from spectui.wire import messages as wire
from tests.support.made_server import MadeServer, Sender, about

HUGE = (-(2**63), -1, 65, 2**31, 2**53, 2**60, 2**63 - 1, 2**64 - 1)
HOSTILE = ("", "\x1b]0;t\x07", "\u202e", "a" * 700, "漢" * 90, "\n\r\x00", "[red]{x}%s")
WHOLES = st.one_of(st.integers(0, 4), st.integers(0, 4), st.integers(0, 400), st.sampled_from(HUGE))


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, small ones more often than others."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return built(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, UnionType):
        return st.one_of(*map(strategy, arguments))
    if origin is list:
        return st.lists(strategy(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(*map(strategy, arguments), max_size=2)
    return {
        int: WHOLES,
        str: st.one_of(st.text(max_size=3), st.sampled_from(HOSTILE)),
        float: st.one_of(st.floats(0, 1), st.floats()),
        bool: st.booleans(),
        bytes: st.binary(max_size=4),
        NoneType: st.none(),
    }[kind]


@cache
def built(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Messages of one kind."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: strategy(hints[name]) for name in kind.__struct_fields__})


ITEMS: st.SearchStrategy[wire.Item] = st.one_of(*map(built, get_args(wire.Item)))
PACKETS = st.builds(
    wire.Packet,
    version=st.just(wire.VERSION),
    session=st.sampled_from(("a", "a", "a", "b")),
    number=st.integers(0, 6),
    at_ns=WHOLES,
    items=st.lists(ITEMS, max_size=4),
)


def served(seed: int, packets: int = 60) -> list[wire.Packet]:
    """What a made-up server sends, with packets lost, said twice, mixed up, and with fields that were changed."""
    dice = random.Random(seed)
    server = MadeServer(seed, ids=dice.random() < 0.7, drafts=dice.random() < 0.7)
    sender = Sender()
    sent = [sender.packet(about(), server.standing())]
    for _ in range(packets):
        items: list[wire.Item] = [server.begin()] if len(server.running) < 3 else []
        items += server.step()
        if dice.random() < 0.1:
            items.append(server.standing())
        if dice.random() < 0.02:
            server, sender = MadeServer(seed + 1), Sender(f"session {dice.random()}")
            items = [about(), server.standing()]
        sent.append(sender.packet(*items, at_ns=server.clock_ns))
    for _ in range(dice.randrange(6)):
        place = dice.randrange(len(sent))
        match dice.randrange(4):
            case 0:
                del sent[place]
            case 1:
                sent.insert(place, sent[dice.randrange(len(sent))])
            case _:
                sent[place] = changed(dice, sent[place])
        if not sent:
            break
    return sent


def changed(dice: random.Random, packet: wire.Packet) -> wire.Packet:
    """A packet in which one number, text or list is another."""
    plain = msgspec.to_builtins(packet)
    places: list[tuple[list[Any], int]] = []

    def look(inside: list[Any]) -> None:
        for number, value in enumerate(inside):
            if isinstance(value, list):
                look(value)
            if not (isinstance(value, str) and number == 0):
                places.append((inside, number))

    look(plain)
    for _ in range(20):
        inside, number = dice.choice(places)
        before = inside[number]
        if isinstance(before, list):
            inside[number] = before * 2 if dice.random() < 0.5 else before[:-1]
        elif isinstance(before, int):
            inside[number] = dice.choice((*HUGE, before + 1, before - 1, 0))
        elif isinstance(before, str):
            inside[number] = dice.choice(HOSTILE)
        try:
            return msgspec.convert(plain, wire.Packet)
        except msgspec.ValidationError:
            inside[number] = before
    return packet
