"""Asks a lane's target how likely it finds tokens, off the lane clock; its requests wait and lose nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
        (after,) = self._probe(ids, inputs.probing_params(2)).outputs[0].logprobs
        likeliest = sorted((entry.logprob for entry in after.values()), reverse=True)
        return float(likeliest[0] - likeliest[1])

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
        """Return the engine's output for ``ids``.

        The probe runs alone, so it advances with every step or never: no other request could free cache blocks.
        """
        engines.enter(self._engine)
        with self._tap.alone():
            probe = self._engine.add_request(PROBE, {"prompt_token_ids": list(ids)}, params)
            reached = -1
            try:
                while (computed := self._tap.computed(probe)) > reached:
                    reached = computed
                    for output in workers.step(self._engine):
                        if output.finished:
                            return output
                self._engine.abort_request([PROBE])
            except Exception as error:
                raise ProbeDiedError(str(error)) from error
        raise ProbeRefusedError(
            "no room in the KV cache to ask the target: race fewer requests, or raise "
            "--engine-arg kv_cache_memory_bytes"
        )
