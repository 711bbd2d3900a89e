"""Compares a lane's greedy tokens with AR's, K changing on the way: the self-test of a lane that has just started.

It finds an engine that computes something else once a step has fewer drafts than the lane was built for, as vLLM 0.32
does with Gated DeltaNet layers on x86-64 without AMX (``_spec_forward`` in ``gdn_attention.py``); a sampler that
accepts what the target would not have said; a tap that counts otherwise than vLLM. Its steps are on no lane clock and
in no total.
"""

from __future__ import annotations

import logging
import weakref
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from spectui.core.losslessness import Comparison, Divergence
from spectui.protocol.events import LaneChecked, Sampling, Step
from spectui.sources.vllm.errors import first_line
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.lane import WARM_UP_IDS, Lane

logger = logging.getLogger(__name__)

TEXT = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,"
"""A model goes on counting and is sure of it: the demo by more than 0.6 nats for 40 tokens. Drafters get some right."""

DISTRUSTED = "do not trust its figures"
"""How the warning begins about a lane whose text is wrong at every K."""

LEAST_TOKENS, MOST_TOKENS = 12, 40
BUDGET_NS = 350_000_000
"""The reference generates `MOST_TOKENS`, or what it can in this time, but at least `LEAST_TOKENS`, and every other lane
as many: about a second for the three lanes of the demo."""


@contextmanager
def off_the_record(lane: Lane) -> Iterator[None]:
    """Restore the lane's clock, its totals and its K at the end of the block."""
    clock_ns, own_ns, totals, k = lane.clock_ns, lane.own_ns, lane.totals, lane.choice
    try:
        yield
    finally:
        lane.clock_ns, lane.own_ns, lane.totals = clock_ns, own_ns, totals
        if lane.info.k_max:
            lane.choice = k


def _set_k(lane: Lane, k: int) -> None:
    if lane.info.k_max:
        lane.k = k


@dataclass(frozen=True, slots=True)
class Compared:
    """A lane's greedy tokens beside the reference's.

    Attributes:
        tokens: How many were compared.
        drafted: Tokens that were drafted meanwhile.
        accepted: How many of those were accepted.
        divergence: Their first difference; None if there is none.
        error: What the engine died of on the way; None if it did not. It may go on at another K.
    """

    tokens: int
    drafted: int
    accepted: int
    divergence: Divergence | None = None
    error: Exception | None = None

    @property
    def lossless(self) -> bool:
        """Whether the tokens are equal, or part where the target itself was undecided."""
        return self.error is None and (self.divergence is None or self.divergence.near_tie is True)


class Reference:
    """A lane's own greedy tokens, without drafts, for other lanes to be compared with. It does not keep the lane.

    Attributes:
        ids: The tokens.
    """

    def __init__(self, lane: Lane, most: int = MOST_TOKENS, budget_ns: int | None = BUDGET_NS) -> None:
        """Let the idle lane generate them: ``most``, or what it can in ``budget_ns``, but at least `LEAST_TOKENS`."""
        # A lane that dies must be freed, however long its text is of use.
        self._held = weakref.ref(lane)
        self._prompt = _prompt(lane)
        most = max(1, min(most, lane.max_model_len - len(self._prompt) - 1))
        with off_the_record(lane):
            self.ids, _, _ = self._generated(lane, lane.ks[:1], most, budget_ns)

    @property
    def alive(self) -> bool:
        """Whether the lane is there to say how sure the target was."""
        return (lane := self._held()) is not None and lane.alive

    def compare(self, lane: Lane, ks: Sequence[int]) -> Compared:
        """Compare an idle lane, whose steps take each K of ``ks`` in turn.

        Raises whatever its engine raises when it cannot even be told to stop.
        """
        with off_the_record(lane):
            try:
                ids, drafted, accepted = self._generated(lane, ks, len(self.ids))
            except Exception as error:
                logger.exception("lane %s failed with K = %s in turn", lane.info.name, ks)
                lane.abort()
                return Compared(0, 0, 0, error=error)
        position = Comparison(self.ids, ids).update()
        divergence = None if position is None else Divergence(position, self._margin(position))
        return Compared(min(len(ids), len(self.ids)), drafted, accepted, divergence)

    def _generated(
        self, lane: Lane, ks: Sequence[int], tokens: int, budget_ns: int | None = None
    ) -> tuple[array[int], int, int]:
        request = lane.add("self-test", 0, self._prompt, Sampling(max_tokens=tokens, ignore_eos=True))
        began_ns, turns = lane.clock_ns, cycle(ks)
        drafted = accepted = 0
        while lane.running:
            _set_k(lane, next(turns))
            for event in lane.step():
                if isinstance(event, Step):
                    drafted += len(event.drafted)
                    accepted += event.accepted
            late = budget_ns is not None and lane.clock_ns - began_ns >= budget_ns
            if late and lane.running and len(request.ids) >= LEAST_TOKENS:
                lane.abort()
        return request.ids, drafted, accepted

    def _margin(self, position: int) -> float | None:
        """The target's margin there, as the reference has it; None if it cannot say."""
        try:
            lane = self._held()
            return None if lane is None else lane.top_two_margin([*self._prompt, *self.ids[:position]])
        except Exception:
            # Whatever is wrong with the reference shows in its own lane.
            logger.exception("the margin at token %d of the self-test is unknown", position)
            return None


def _prompt(lane: Lane) -> list[int]:
    """The text's ids, no more of them than the warm-up has shown to fit."""
    try:
        with panics_as_errors():
            ids = [int(token) for token in lane.tokenizer.encode(TEXT)]
    except Exception:
        logger.exception("the tokenizer cannot take the self-test's text")
        ids = []
    return ids[: len(WARM_UP_IDS)] or list(WARM_UP_IDS)


def changing(k_max: int) -> tuple[int, ...]:
    """The K of the steps of a self-test: as many drafts as possible, one, none, and as many again."""
    return (k_max, min(k_max, 1), 0, k_max)


class SelfTest:
    """The self-test of lanes on one target. Lanes are compared with the first AR lane that is still there, and with
    themselves at K = 0 if there is none."""

    def __init__(self) -> None:
        self._ar: Reference | None = None

    def check(self, lane: Lane) -> LaneChecked | None:
        """Test a lane that has just been warmed up; None for the AR lane that others are compared with, and for one
        that has nothing to be compared with, as it has a single K.

        A lane that is right at K_max only gets that for its fixed K. Raises whatever a lane's engine dies of at K_max.
        """
        if self._ar is not None and not self._ar.alive:
            self._ar = None
        if self._ar is None and lane.fixed_k:
            return None
        reference = self._ar or Reference(lane)
        if self._ar is None and lane.info.method == "ar":
            self._ar = reference
            return None
        found = reference.compare(lane, lane.ks if lane.fixed_k else changing(lane.info.k_max))
        warnings = []
        if not found.lossless:
            logger.error("lane %s is not lossless: %r", lane.info.name, found)
            k_max = lane.info.k_max
            steady = reference.compare(lane, (k_max,)) if k_max else found
            if steady.error is not None:
                raise steady.error
            whose = "its own at K = 0" if self._ar is None else "AR's"
            if steady.lossless:
                lane.k = k_max
                lane.fixed_k = f"K stays {k_max}: with fewer drafts {_fault(found, whose)}"
                warnings.append(lane.fixed_k)
            else:
                told = _fault(steady if found.error else found, whose)
                warnings.append(f"{DISTRUSTED}: {told}; `spectui doctor --lanes` says more")
        warnings += [f"{counts.sentence}; please report this" for counts in lane.disagreements]
        lane.disagreements.clear()
        return LaneChecked(
            lane=lane.info.name,
            tokens=found.tokens,
            drafted=found.drafted,
            accepted=found.accepted,
            position=None if found.divergence is None else found.divergence.position,
            margin=None if found.divergence is None else found.divergence.margin,
            plain=self._ar is None,
            warning="; ".join(warnings),
        )


def distrusted(lane: Lane) -> bool:
    """Whether the self-test found that a lane's text is wrong at every K."""
    return lane.checked is not None and lane.checked.warning.startswith(DISTRUSTED)


def _fault(found: Compared, whose: str) -> str:
    """What goes wrong in a lane that should say the same."""
    if found.error is not None:
        return f"its engine fails ({first_line(found.error)})"
    assert found.divergence is not None
    margin = found.divergence.margin
    sure = (
        "the target's margin there is unknown" if margin is None else f"the target was sure: margin {margin:.2f} nats"
    )
    return f"its text diverged from {whose} at token {found.divergence.position + 1} ({sure})"
