"""Made-up traces of lanes that draft, with acceptance that a test can choose token by token."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spectui.protocol import events as ev
from spectui.trace.codec import Header, encode, encode_header

WORDS = (" the", "ing", " 42", ",", "\n    ", "(", " house", "7")
"""The texts of the tokens 100 and up; each answer is a walk through them."""

GREEDY = ev.Sampling(max_tokens=64)
AR = ev.LaneInfo("ar", "ar", "AR", 0, "ar")
MTP = ev.LaneInfo("mtp", "mtp", "MTP", 3, "mtp:k=3")

Chance = Callable[[str, str, int], float]
"""How likely a drafted token is right: by category, the wanted token's text, and its position in the draft, from 1."""


def _never(category: str, text: str, position: int) -> float:
    return 0.0


@dataclass
class Making:
    """What a made-up trace is like.

    Attributes:
        chance: By lane, how likely a drafted token is right.
        prompts: Text and category.
        text_seed: Decides the answers' texts, and nothing else; traces with the same one have the same answers.
        seed: Decides what is accepted and how long steps take.
        step_ms: Wall time of a step by lane.
        spread: How much prompts differ in acceptance, as a standard deviation of the chance.
    """

    chance: dict[str, Chance] = field(default_factory=lambda: {"mtp": lambda category, text, position: 0.6})
    lanes: tuple[ev.LaneInfo, ...] = (AR, MTP)
    prompts: Sequence[tuple[str, str]] = tuple((f"prompt {i}", ("coding", "math")[i % 2]) for i in range(12))
    sampling: ev.Sampling = GREEDY
    text_seed: int = 0
    seed: int = 0
    step_ms: dict[str, float] = field(default_factory=lambda: {"ar": 20.0, "mtp": 25.0})
    spread: float = 0.1
    target: str = "target"
    machine: str = "here"
    ids: bool = True
    engines: tuple[ev.LaneEngine, ...] = ()

    def events(self) -> Iterator[ev.TraceEvent]:
        """All events of the trace."""
        dice = random.Random(self.seed)
        yield ev.RunStarted(self.target, self.lanes, self.sampling, machine=self.machine)
        yield from self.engines
        clocks = dict.fromkeys((lane.name for lane in self.lanes), 0)
        for number, (text, category) in enumerate(self.prompts):
            prompt = ev.Prompt(text, category, number, len(self.prompts))
            yield ev.RoundStarted(number, (prompt,), self.sampling)
            words = random.Random(f"{self.text_seed} {text}")
            tokens = [100 + words.randrange(len(WORDS)) for _ in range(self.sampling.max_tokens)]
            own = words.gauss(0, self.spread)
            prompt_ids = tuple(ord(char) for char in text) if self.ids else ()
            for lane in self.lanes:
                name = lane.name
                yield ev.RequestStarted(name, f"{number}.0", 0, len(text), prompt_ids=prompt_ids)
                done = index = 0
                while done < len(tokens):
                    step, clocks[name] = self._step(
                        lane, f"{number}.0", index, tokens, done, clocks[name], category, own, dice
                    )
                    done += len(step.emitted)
                    index += 1
                    yield step
                yield ev.RequestFinished(name, f"{number}.0", 0, "length", len(tokens))
            yield ev.RoundFinished(number)

    def _step(
        self,
        lane: ev.LaneInfo,
        request: str,
        index: int,
        tokens: list[int],
        done: int,
        clock_ns: int,
        category: str,
        own: float,
        dice: random.Random,
    ) -> tuple[ev.Step, int]:
        drafting = lane.k_max if index else 0
        ahead = [*tokens[done:], *tokens][: drafting + 1]
        accepted = 0
        chance = self.chance.get(lane.name, _never)
        for position, token in enumerate(ahead[:drafting], 1):
            if dice.random() >= chance(category, WORDS[token - 100], position) + own:
                break
            accepted += 1
        drafted = tuple(ahead[:accepted]) + tuple(99 for _ in range(drafting - accepted))
        verified = tuple(ahead[: accepted + 1])
        emitted = verified[: len(tokens) - done]
        cut = verified[len(emitted) :]
        wall_ns = round(self.step_ms.get(lane.name, 20.0) * 1e6 * dice.uniform(0.95, 1.05))
        step = ev.Step(
            lane=lane.name,
            request=request,
            slot=0,
            index=index,
            k=lane.k_max,
            drafted=drafted,
            accepted=accepted,
            emitted=emitted,
            cut=cut,
            own=None if cut else "recovered" if accepted < drafting else "bonus",
            cut_reason="length" if done + len(emitted) == len(tokens) else None,
            text=tuple(WORDS[token - 100] for token in verified),
            drafted_text=tuple("?" if token == 99 else WORDS[token - 100] for token in drafted),
            batch=1,
            wall_ns=wall_ns,
            clock_ns=clock_ns + wall_ns,
            draft_ns=wall_ns // 5,
            verify_ns=wall_ns // 2,
            before=done,
        )
        return step, clock_ns + wall_ns


def written(path: Path, making: Making) -> Path:
    """Write the trace to a file."""
    events = list(making.events())
    run = next(event for event in events if isinstance(event, ev.RunStarted))
    lines = [encode_header(Header(ev.SCHEMA_VERSION, "test", run))]
    lines += [encode(number * 1000, event) for number, event in enumerate(events)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path
