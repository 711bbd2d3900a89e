"""Asks a lane's target how likely it finds tokens, off the lane clock; its requests wait and lose nothing."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spectui.protocol.events import Likely, TokenVerdict
from spectui.sources.vllm.compat import engines, inputs, workers
from spectui.sources.vllm.pieces import PieceDecoder, TokenTable


class ProbeRefusedError(RuntimeError):
    """The engine has no room for a question about the target's choices; the message is a sentence. Nothing is lost."""


class ProbeDiedError(RuntimeError):
    """The engine died while it was asked about the target's choices; the message is the engine's."""


LIKELIEST = 6
"""How many of the target's most likely tokens an inspection asks for at each position."""

PROBE = "probe"

WHOLE = 1 << 20
"""More than any text that a probe goes on with."""

Likeliest = tuple[tuple[int, float], ...]
"""The most likely tokens with their log-probabilities before temperature and top-p, in descending order."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the target says about a text.

    Attributes:
        within: The most likely tokens at each position of the text, none at the first one; empty unless asked for.
        ids: How the text goes on greedily.
        after: The most likely tokens at each of those positions.
    """

    within: tuple[Likeliest, ...]
    ids: tuple[int, ...]
    after: tuple[Likeliest, ...]


class Prober:
    """Asks one engine, between its steps."""

    def __init__(self, engine: Any, tap: Any, table: TokenTable) -> None:
        """``tap`` is the engine's `TapScheduler`, ``table`` has the texts of its tokens."""
        self._engine = engine
        self._tap = tap
        self._table = table

    def top_two_margin(self, ids: Sequence[int]) -> float:
        """Return the target's margin, in nats, between its two most likely tokens after ``ids``.

        Raises:
            ProbeDiedError: The engine died of the probe.
            ProbeRefusedError: The engine has no room for the probe.
        """
        (reading,) = self.readings([ids], likeliest=2)
        (_, first), (_, second) = reading.after[0][:2]
        return first - second

    def readings(
        self, texts: Sequence[Sequence[int]], *, likeliest: int, within: bool = False, tokens: int = 1
    ) -> list[Reading]:
        """Ask about several texts at once.

        Args:
            texts: Their ids.
            likeliest: How many of the most likely tokens are asked for at a position; engines have a limit
                (``max_logprobs``), which is 20 unless changed.
            within: Whether to ask about the positions of the text itself too.
            tokens: How far to go on greedily.

        Raises:
            ProbeDiedError: The engine died of the probe.
            ProbeRefusedError: The engine has no room for the probe.
        """
        params = inputs.probing_params(likeliest, prompt=within, tokens=tokens)
        return [
            Reading(
                # The text's own tokens are named too, however unlikely.
                tuple(_likeliest(entries or {})[:likeliest] for entries in output.prompt_logprobs or ()),
                tuple(output.outputs[0].token_ids),
                tuple(_likeliest(entries)[:likeliest] for entries in output.outputs[0].logprobs),
            )
            for output in self._ask(texts, params)
        ]

    def verdicts(self, context: Sequence[int], tokens: Sequence[int]) -> tuple[TokenVerdict, ...]:
        """Return the target's verdicts on ``tokens`` after ``context``, recomputed in one pass.

        Raises:
            ProbeDiedError: The engine died of the probe.
            ProbeRefusedError: The requests in flight leave no room for the probe.
        """
        params = inputs.probing_params(LIKELIEST, prompt=True)
        places = self._probe([*context, *tokens], params).prompt_logprobs[len(context) :]
        return tuple(self._place(token, entries) for token, entries in zip(tokens, places, strict=True))

    def _place(self, token: int, entries: Mapping[int, Any]) -> TokenVerdict:
        ordered = sorted(entries.items(), key=lambda item: -item[1].logprob)[:LIKELIEST]
        likeliest = tuple(Likely(one, self._text(one), math.exp(entry.logprob)) for one, entry in ordered)
        return TokenVerdict(
            token, self._text(token), math.exp(entries[token].logprob), int(entries[token].rank), likeliest
        )

    def _text(self, token: int) -> str:
        # Decode the token after itself, since a first token may lose its leading space.
        return PieceDecoder(self._table, (token,)).peek((token,))[0]

    def _probe(self, ids: Sequence[int], params: Any) -> Any:
        """Return the engine's output for ``ids``."""
        return self._ask([ids], params)[0]

    def _ask(self, texts: Sequence[Sequence[int]], params: Any) -> list[Any]:
        """Return the engine's output for each text.

        The probes run alone, so they advance with every step or never: no other request could free cache blocks.
        """
        engines.enter(self._engine)
        names = [PROBE if not place else f"{PROBE}-{place}" for place in range(len(texts))]
        done: dict[str, Any] = {}
        with self._tap.alone():
            try:
                probes = [
                    (name, self._engine.add_request(name, {"prompt_token_ids": list(ids)}, params))
                    for name, ids in zip(names, texts, strict=True)
                ]
                reached = -1
                while (computed := self._computed(probes, texts, done)) > reached:
                    reached = computed
                    done.update((output.request_id, output) for output in workers.step(self._engine) if output.finished)
                    if len(done) == len(names):
                        return [done[name] for name in names]
                self._engine.abort_request([name for name in names if name not in done])
            except Exception as error:
                raise ProbeDiedError(str(error)) from error
        raise ProbeRefusedError(
            "no room in the KV cache to ask the target: race fewer requests, or raise "
            "--engine-arg kv_cache_memory_bytes"
        )

    def _computed(self, probes: Sequence[tuple[str, str]], texts: Sequence[Sequence[int]], done: Container[str]) -> int:
        """How far the probes have got; one that has ended counts as a whole text and more."""
        return sum(
            len(ids) + WHOLE if name in done else max(0, self._tap.computed(probe))
            for (name, probe), ids in zip(probes, texts, strict=True)
        )


def _likeliest(entries: Mapping[int, Any]) -> Likeliest:
    ordered = sorted(entries.items(), key=lambda item: -item[1].logprob)
    return tuple((int(token), float(entry.logprob)) for token, entry in ordered)
