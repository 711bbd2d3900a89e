"""A server that makes its steps up: what it would put into the feed, and the sums that it would tell."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from spectui.protocol.steps import NOTHING, Totals
from spectui.wire import messages as wire

K_MAX = 4
WALL_NS = 20_000_000


def about(**changed: Any) -> wire.About:
    """What a server says of itself."""
    fields: dict[str, Any] = {
        "model": "/models/made-up",
        "tokenizer": "/models/made-up",
        "revision": "",
        "served_names": ["made-up"],
        "method": "mtp",
        "k_max": K_MAX,
        "redaction": "ids",
        "share": 1.0,
        "drafts": True,
        "why": "",
        "control": True,
        "fixed_k": "",
        "host": "there",
        "pid": 1,
        "dp_rank": 0,
        "dp_size": 1,
        "tensor_parallel": 1,
        "pipeline_parallel": 1,
        "seats": 8,
        "asynchronous": False,
        "runner": "V1",
        "device": "cpu",
        "dtype": "bfloat16",
        "vocabulary": 1_000,
        "versions": {"vllm": "0.32.0"},
    }
    return wire.About(**{**fields, **changed})


@dataclass
class _Running:
    slot: int
    name: str
    prompt: int
    started_ns: int
    last: int
    emitted: int = 0
    steps: int = 0


@dataclass
class MadeServer:
    """Its requests, and its sums since it began; the same seed gives the same steps."""

    seed: int = 0
    ids: bool = True
    drafts: bool = True
    k: int = K_MAX
    totals: Totals = NOTHING
    clock_ns: int = 0
    running: dict[int, _Running] = field(default_factory=dict)
    dropped: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.slots = 0

    def begin(self, now_ns: int = 0) -> wire.Began:
        """A request begins."""
        slot, prompt = self.slots, self.dice.randint(1, 9)
        self.slots += 1
        self.running[slot] = _Running(slot, f"request-{slot}", prompt, now_ns, self.dice.randint(20, 60))
        ids = [self.dice.randrange(1_000) for _ in range(prompt)] if self.ids else []
        return wire.Began(slot, f"request-{slot}", prompt, ids, now_ns)

    def step(self) -> list[wire.Item]:
        """One engine step of all requests, and those that end in it."""
        if not self.running:
            return []
        rows, ended = [], []
        for one in self.running.values():
            row = self._row(one)
            rows.append(row)
            one.steps += 1
            one.emitted += row.emitted
            if row.cut_reason is not None:
                ended.append(wire.Ended(one.slot, row.cut_reason, one.emitted))
        self.clock_ns += WALL_NS
        for end in ended:
            del self.running[end.slot]
        step = wire.EngineStep(self.k, WALL_NS, self.clock_ns, 4_000_000, 15_000_000, list(self.totals), rows)
        return [step, *ended]

    def _row(self, one: _Running) -> wire.Row:
        drafted = min(self.k, self.dice.randint(0, K_MAX)) if one.steps else 0
        accepted = self.dice.randint(0, drafted)
        sampled = accepted + 1
        emitted = min(sampled, one.last - one.emitted)
        self.totals = self.totals.after(drafted, accepted, emitted, sampled - emitted)
        known: Any = [self.dice.randrange(1_000) for _ in range(drafted)]
        ids: Any = [self.dice.randrange(1_000) for _ in range(sampled)]
        return wire.Row(
            one.slot,
            one.steps,
            one.emitted,
            known if self.ids and self.drafts else drafted,
            accepted,
            ids if self.ids else sampled,
            emitted,
            "length" if one.emitted + emitted == one.last else None,
        )

    def standing(self, dropped: int = 0) -> wire.Standing:
        """How it stands."""
        running = [
            wire.Running(one.slot, one.name, one.prompt, one.emitted, one.steps, one.started_ns)
            for one in self.running.values()
        ]
        return wire.Standing(
            clock_ns=self.clock_ns,
            totals=list(self.totals),
            accepted_at=[0] * K_MAX,
            drafted_at=[0] * K_MAX,
            draft_ns=None,
            verify_ns=None,
            engine_steps=self.clock_ns // WALL_NS,
            k=self.k,
            waiting=0,
            dropped=self.dropped + dropped,
            running=running,
        )


@dataclass
class Sender:
    """Packs items into packets, as the publisher does for one viewer."""

    session: str = "first"
    number: int = 0

    def packet(self, *items: wire.Item, lost: bool = False, at_ns: int = 1_000) -> wire.Packet:
        """The next packet; a ``lost`` one only takes its number."""
        self.number += 1
        return wire.Packet(wire.VERSION, self.session, self.number, at_ns, [] if lost else list(items))
