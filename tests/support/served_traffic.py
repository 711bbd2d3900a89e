"""A made-up server under changing load, whose best K is known: engine steps as the tap sends them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from spectui.protocol.events import Event
from spectui.sources.attached.tuning import Tuning
from spectui.wire.messages import EngineStep, Row


@dataclass(frozen=True)
class Costs:
    """What steps cost, in ms: ``base + draft K + token n (K + 1)``, and how likely each drafted token is accepted."""

    base: float = 10.0
    draft: float = 0.6
    token: float = 0.12
    prompt: float = 8.0
    accepted: float = 0.7

    def ms(self, k: int, requests: int, begins: bool = False) -> float:
        return self.base + self.draft * k + self.token * requests * (k + 1) + self.prompt * begins

    def tokens(self, k: int) -> float:
        return (1 - self.accepted ** (k + 1)) / (1 - self.accepted)

    def tok_s(self, k: int, requests: int) -> float:
        return requests * self.tokens(k) / self.ms(k, requests) * 1e3


@dataclass
class _Request:
    slot: int
    left: int
    index: int = 0
    before: int = 0


@dataclass
class ServedTraffic:
    """Serves requests, of which there are between ``fewest`` and ``most``, and follows K two steps late.

    Attributes:
        noise: Standard deviation of the logarithm of a step's time.
        drift: How far the machine's speed wanders, slowly.
        endless: Whether no request ends before others begin.
    """

    seed: int
    costs: Costs = Costs()
    k: int = 2
    fewest: int = 1
    most: int = 16
    noise: float = 0.06
    drift: float = 0.15
    tokens: tuple[int, int] = (30, 200)
    at_ns: int = 0
    steps: int = 0
    slower: float = 1.0
    _dice: random.Random = field(init=False)
    _running: list[_Request] = field(default_factory=list)
    _slots: int = 0
    _late: list[int] = field(default_factory=list)
    _wanted: float = 4.0

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._late = [self.k, self.k]
        self._wanted = (self.fewest + self.most) / 2

    def ask(self, k: int) -> None:
        self.k = k

    def step(self) -> EngineStep:
        dice = self._dice
        self._late.append(self.k)
        k = self._late.pop(0)
        # Load: a slow walk between the bounds, and waves of some hundred steps.
        self._wanted = min(self.most, max(self.fewest, self._wanted + dice.gauss(0, 0.15 * math.sqrt(self.most))))
        wave = 0.5 + 0.5 * math.sin(self.steps / 170 + self.seed)
        target = max(self.fewest, min(self.most, round(self._wanted * (0.4 + 0.9 * wave))))
        begins = False
        if len(self._running) < target:
            self._running.append(_Request(self._slots, dice.randint(*self.tokens)))
            self._slots += 1
            begins = True
        rows = []
        for request in self._running:
            drafted = k if request.index else 0
            accepted = 0
            while accepted < drafted and dice.random() < self.costs.accepted:
                accepted += 1
            emitted = min(accepted + 1, request.left)
            rows.append(Row(request.slot, request.index, request.before, drafted, accepted, accepted + 1, emitted))
            request.left -= emitted
            request.before += emitted
            request.index += 1
        self._running = [one for one in self._running if one.left]
        speed = 1 + self.drift * math.sin(self.steps / 431 + 2 * self.seed)
        ms = self.costs.ms(k, len(rows), begins) * speed * math.exp(dice.gauss(0, self.noise)) * self.slower
        if dice.random() < 0.01:
            ms *= 3
        wall_ns = round(ms * 1e6)
        self.at_ns += wall_ns
        self.steps += 1
        return EngineStep(k, wall_ns, self.at_ns, None, None, [], rows)


def drive(tuning: Tuning, server: ServedTraffic, most_steps: int = 200_000) -> list[Event]:
    """Let the server run until the search ends; returns what was told."""
    told = tuning.begin()
    for _ in range(most_steps):
        if (ask := tuning.due(server.at_ns)) is not None:
            server.ask(ask[0])
        if tuning.ended is not None:
            return told
        told += tuning.step(server.step(), server.at_ns)
        told += tuning.tick(server.at_ns)
    raise AssertionError("the search does not end")
