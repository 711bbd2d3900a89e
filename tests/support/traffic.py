"""Traffic for a real server, made by a client that is not ours: the ``openai`` package."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from openai import AsyncOpenAI

from spectui.setup import prompt_sets
from tests.support.servers import NAME

CONCURRENCY = 8


@dataclass(frozen=True)
class Ask:
    """A request of a client's.

    Attributes:
        stop: Where the server ends the answer.
        leave_after: The client goes after so many parts of a streamed answer; None for never.
        fixed: Whether the answer has ``max_tokens`` tokens whatever the model says.
    """

    prompt: str
    max_tokens: int
    streamed: bool = False
    temperature: float = 0.0
    stop: str | None = None
    leave_after: int | None = None
    fixed: bool = False


@dataclass
class Answer:
    """What the client got.

    Attributes:
        id: The server's name of the request.
        ids: The tokens of ``text``; where a stop string was met, the whole tokens that hold it.
        counted: Completion tokens, as the server counts them; None if the client went before it said so.
        reason: What ended the answer: ``stop`` or ``length``; None if the client went before.
    """

    ask: Ask
    id: str = ""
    text: str = ""
    ids: list[int] = field(default_factory=list)
    counted: int | None = None
    reason: str | None = None

    def _add(self, choice: Any, text: str | None) -> None:
        self.text += text or ""
        self.ids += (choice.model_extra or {}).get("token_ids") or []
        self.reason = choice.finish_reason or self.reason


def mixed(count: int = 50, seed: int = 0) -> list[Ask]:
    """Requests of all kinds: one is left by its client in the middle, every fifth has a stop string, every third is
    streamed, and the last fifth is sampled.

    Those come last, since vLLM 0.32's CPU build answers greedy requests beside them with nonsense, and refuses nearly
    all drafts.
    """
    dice = random.Random(seed)
    texts = [prompt.text[:160] for prompt in prompt_sets.builtin()]
    asks = []
    for number in range(count):
        asks.append(
            Ask(
                dice.choice(texts),
                dice.randrange(4, 40),
                streamed=number % 3 == 0,
                temperature=0.7 if number >= count * 4 // 5 else 0.0,
                stop=dice.choice([".", "\n", " the"]) if number % 5 == 1 else None,
            )
        )
    middle = count // 2
    asks[middle] = replace(asks[middle], max_tokens=400, streamed=True, stop=None, leave_after=4, fixed=True)
    return asks


def even(count: int, tokens: int, seed: int = 0) -> list[Ask]:
    """Requests of the same length."""
    dice = random.Random(seed)
    texts = [prompt.text[:160] for prompt in prompt_sets.builtin()]
    return [Ask(dice.choice(texts), tokens, fixed=True) for _ in range(count)]


def answers(url: str, asks: Sequence[Ask], concurrency: int = CONCURRENCY) -> list[Answer]:
    """Ask a server, with so many requests in flight, and wait for the answers."""
    return asyncio.run(_answers(url, asks, concurrency))


async def _answers(url: str, asks: Sequence[Ask], concurrency: int) -> list[Answer]:
    seats = asyncio.Semaphore(concurrency)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=120.0, max_retries=0) as client:

        async def one(ask: Ask) -> Answer:
            async with seats:
                return await (_streamed if ask.streamed else _whole)(client, ask)

        return list(await asyncio.gather(*map(one, asks)))


def _arguments(ask: Ask) -> dict[str, Any]:
    return {
        "model": NAME,
        "messages": [{"role": "user", "content": ask.prompt}],
        "max_tokens": ask.max_tokens,
        "temperature": ask.temperature,
        "seed": 1,
        "stop": ask.stop,
        "extra_body": {"return_token_ids": True, "ignore_eos": ask.fixed},
    }


async def _whole(client: AsyncOpenAI, ask: Ask) -> Answer:
    said = await client.chat.completions.create(**_arguments(ask))
    answer = Answer(ask, said.id, counted=said.usage.completion_tokens)
    answer._add(said.choices[0], said.choices[0].message.content)
    return answer


async def _streamed(client: AsyncOpenAI, ask: Ask) -> Answer:
    answer = Answer(ask)
    options = {"include_usage": True}
    async with await client.chat.completions.create(**_arguments(ask), stream=True, stream_options=options) as stream:
        parts = 0
        async for part in stream:
            answer.id = part.id
            for choice in part.choices:
                answer._add(choice, choice.delta.content)
            if part.usage is not None:
                answer.counted = part.usage.completion_tokens
            parts += 1
            if parts == ask.leave_after:
                break
    return answer
