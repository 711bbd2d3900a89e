"""Forks of a made-up race: whatever is put in place of a token, the made-up target goes on with the text as before."""

from __future__ import annotations

from dataclasses import dataclass

from spectui.protocol import events as ev
from spectui.protocol.commands import Fork
from spectui.sources.synthetic.text import Answer, Vocabulary


@dataclass(frozen=True, slots=True)
class SyntheticFork:
    """An answer that goes on from its middle.

    Attributes:
        branch: Where it branches off.
        prompt: The prompt that is answered.
        answer: The whole answer, what was put in place included.
        start: How much of it comes before the fork.
        max_tokens: How much of the answer's ``max_tokens`` is left.
        parent: The fork that it was forked from; None if that was a round of the prompt set.
    """

    branch: ev.Branch
    prompt: ev.Prompt
    answer: Answer
    start: int
    max_tokens: int
    parent: SyntheticFork | None


@dataclass(frozen=True, slots=True)
class Going:
    """A request to fork.

    Attributes:
        vocabulary: What its ids mean.
        prompt: Its prompt.
        answer: The whole answer of the target.
        start: Where in that answer the request began.
        emitted: What the lane has said since.
        max_tokens: How much it may say.
    """

    vocabulary: Vocabulary
    prompt: ev.Prompt
    answer: Answer
    start: int
    emitted: list[int]
    max_tokens: int


def fork_of(going: Going, asked: Fork, parent: SyntheticFork | None) -> SyntheticFork | str:
    """Fork an answer of the round, which is ``parent`` if it is a fork itself; or say why that is impossible."""
    vocabulary, keep = going.vocabulary, asked.keep
    put = vocabulary.encode(asked.text) if asked.put is None else [asked.put]
    left = going.max_tokens - keep - len(put)
    if not 0 <= keep <= len(going.emitted) or left < 1:
        return "nothing is left of the answer there: fork an earlier step"

    def text(ids: list[int]) -> str:
        return "".join(map(vocabulary.piece, ids))

    at = going.start + keep
    branch = ev.Branch(
        round=asked.round,
        lane=asked.lane,
        slot=asked.slot,
        step=asked.step,
        kept=keep,
        put=tuple(put),
        text=(parent.branch.text + parent.branch.put_text if parent else "") + text(going.emitted[:keep]),
        put_text=text(put),
        instead=text(going.emitted[keep : keep + 1]) if put else "",
    )
    answer = going.answer.replaced(at, put) if put else going.answer
    return SyntheticFork(branch, going.prompt, answer, at + len(put), left, parent)
