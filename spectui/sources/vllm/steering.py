"""The K of a lane: the one that it was given, or, while it is automatic, one that `AutoK` chooses after every step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spectui.core.auto_k import AutoK
from spectui.protocol.events import Event, LaneInfo, Step


class Steered:
    """What a lane knows about its K.

    Attributes:
        fixed_k: Why its K must stay K_max, as a sentence; empty if it may change. The self-test may find a reason.
    """

    info: LaneInfo
    fixed_k: str
    _steerable: bool = True
    _tap: Any
    _policy: AutoK | None = None
    _automatic = False

    @property
    def k(self) -> int:
        """Tokens that may be drafted from the next step on; setting it ends an automatic K."""
        return int(self._tap.k) if self.info.k_max else 0

    @k.setter
    def k(self, k: int) -> None:
        self._automatic = False
        self._tap.k = k

    @property
    def ks(self) -> Sequence[int]:
        """Every K that the lane may be given."""
        return (self.info.k_max,) if self.fixed_k else range(self.info.k_max + 1)

    @property
    def choice(self) -> int | None:
        """The K that the lane keeps; None while it is automatic, as far as that is possible for it."""
        return None if self._automatic else self.k

    @choice.setter
    def choice(self, k: int | None) -> None:
        if k is not None:
            self.k = k
        elif self._steerable and self.info.k_max and not self.fixed_k:
            if self._policy is None:
                self._policy = AutoK(self.info.k_max, self.info.k_first)
            self._automatic = True
            self._tap.k = self._policy.k

    def begin_k(self) -> None:
        """Take the K that the lane begins with."""
        self._automatic = False
        if self.info.k_max:
            self._tap.k = self.info.k_max if self.fixed_k else self.info.k_first
        if self.info.k_source == "auto":
            self.choice = None

    def forget_policy(self) -> None:
        """Let an automatic K begin anew, since what it has learnt is of no use."""
        self._policy = None
        if self._automatic:
            self.choice = None

    def steer(self, events: Iterable[Event], wall_ns: int, disturbed: bool, *, reading: bool = False) -> None:
        """Choose the K of the next step, if it is automatic, from the events and the time of the last one; ``reading``
        is whether it read a part of a prompt that no event tells of."""
        if not self._automatic or self._policy is None:
            return
        steps = [event for event in events if isinstance(event, Step)]
        for step in steps:
            # A request's first step processes its prompt and verifies nothing.
            if step.index:
                self._policy.observe(step.k, step.accepted)
        if steps:
            timed = not reading and all(step.index for step in steps)
            self._tap.k = self._policy.decide(wall_ns if timed else None, len(steps), disturbed)
