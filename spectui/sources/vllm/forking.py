"""Forks of answers: rounds that go on with an answer of the running round from the middle of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectui.protocol.commands import Fork
from spectui.protocol.events import Branch, Prompt
from spectui.sources.vllm.errors import first_line
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.lane_spec import DIFFUSION

if TYPE_CHECKING:
    from spectui.sources.vllm.lane import Lane
    from spectui.sources.vllm.race import Race


class ForkRefusedError(ValueError):
    """The answer cannot be forked there; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Forked:
    """A fork that can be raced, again and again.

    Attributes:
        branch: Where it branches off.
        prompt: The prompt that is answered.
        ids: What every lane is given: the prompt and the answer up to the fork.
        max_tokens: How much of the answer's ``max_tokens`` is left.
        parent: The fork that it was forked from; None if that was a round of the prompt set.
    """

    branch: Branch
    prompt: Prompt
    ids: tuple[int, ...]
    max_tokens: int
    parent: Forked | None = None


def fork_of(race: Race, asked: Fork, parent: Forked | None) -> Forked:
    """Fork an answer of the running round, which is ``parent`` if it is a fork itself.

    Raises:
        ForkRefusedError: It cannot be forked there.
    """
    lane, request = race.lane(asked.lane), race.request(asked.lane, asked.slot)
    if lane is None:
        raise ForkRefusedError("the lane is not running, so its answer cannot be forked")
    if race.round != asked.round or request is None:
        raise ForkRefusedError("that round is over: look at a step of this one (i), and fork it there")
    prompt, sampling = race.prompts[asked.slot], race.sampling
    if lane.info.method == DIFFUSION:
        raise ForkRefusedError("a diffusion model writes many tokens at once, so its answer cannot be forked at one")
    if sampling.json_schema is not None:
        raise ForkRefusedError("an answer that must follow a JSON schema cannot be forked: it would begin anew")
    if prompt.turns > 1:
        raise ForkRefusedError("a conversation that is raced turn by turn cannot be forked")
    answer = request.ids.tolist()
    if not 0 <= asked.keep <= len(answer):
        raise ForkRefusedError(f"the answer has {len(answer)} tokens, so {asked.keep} cannot be kept")
    kept, put = answer[: asked.keep], _put(lane, asked)
    left = sampling.max_tokens - len(kept) - len(put)
    if left < 1:
        raise ForkRefusedError("the answer's --max-tokens are used up there: fork an earlier step")
    before = [*request.prompt_ids, *kept]
    earlier = parent.branch.text + parent.branch.put_text if parent else ""
    branch = Branch(
        round=race.round,
        lane=asked.lane,
        slot=asked.slot,
        step=asked.step,
        kept=len(kept),
        put=tuple(put),
        text=earlier + lane.text(kept, request.prompt_ids),
        put_text=lane.text(put, before),
        instead=lane.text(answer[asked.keep : asked.keep + 1], before) if put else "",
    )
    return Forked(branch, prompt, (*before, *put), left, parent)


def _put(lane: Lane, asked: Fork) -> Sequence[int]:
    """The ids to put in place of what stood there."""
    if asked.put is not None:
        return [asked.put]
    if not asked.text:
        return []
    try:
        with panics_as_errors():
            ids = [int(token) for token in lane.tokenizer.encode(asked.text, add_special_tokens=False)]
    except Exception as error:
        raise ForkRefusedError(f"the tokenizer cannot take the text: {first_line(error)}") from error
    if not ids:
        raise ForkRefusedError("the text has no token ids: nothing would be changed")
    return ids
