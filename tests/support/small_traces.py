"""Small random traces of several lanes, with all that makes an analysis stumble: lost steps, aborted answers, tokens
behind an end, rounds that repeat, steps without a draft, older traces without counts, and words of a single letter."""

from __future__ import annotations

import random
from collections.abc import Iterator

from spectui.protocol import events as ev

TEXTS = {0: " a", 1: "b", 2: "7", 3: ".", 4: "\n  ", 5: "==", 6: "你", 7: ""}
LANES = ("ar", "mtp", "ngram")


def small_trace(seed: int, *, counted: bool | None = None, lossy: bool | None = None) -> list[ev.TraceEvent]:
    """One trace.

    Args:
        seed: Where randomness starts.
        counted: Whether steps say how many tokens came before; None decides by chance.
        lossy: Whether steps are missing; None decides by chance.
    """
    rng = random.Random(seed)
    counted = rng.random() < 0.7 if counted is None else counted
    lossy = rng.random() < 0.3 if lossy is None else lossy
    sampling = ev.Sampling()
    infos = tuple(ev.LaneInfo(name, name, name.upper(), 0 if name == "ar" else 4, name) for name in LANES)
    made: list[ev.TraceEvent] = [ev.RunStarted("target", infos, sampling)]
    for number in range(rng.randint(1, 3)):
        slots = rng.randint(1, 3)
        prompts = tuple(ev.Prompt(f"p{rng.randint(0, 2)}", rng.choice(("code", "prose"))) for _ in range(slots))
        made.append(ev.RoundStarted(number, prompts, sampling))
        ids = [_tokens(rng, rng.randint(1, 12)) if rng.random() < 0.8 else () for _ in prompts]
        answers = [_tokens(rng, rng.randint(1, 40)) for _ in prompts]
        runs = []
        for lane in LANES:
            for slot in range(slots):
                answer = answers[slot] if rng.random() < 0.7 else (*answers[slot][:5], *_tokens(rng, 20))
                length = len(ids[slot]) or rng.randint(1, 600)
                made.append(ev.RequestStarted(lane, f"{number}.{slot}", slot, length, prompt_ids=ids[slot]))
                steps = list(_steps(rng, lane, f"{number}.{slot}", slot, answer, counted))
                if lossy:
                    steps = [step for step in steps if rng.random() < 0.9]
                if rng.random() < 0.1:
                    steps = steps[: len(steps) // 2]
                runs.append(steps)
        if lossy:
            made.append(ev.Gap(1))
        while runs := [run for run in runs if run]:
            made.append(rng.choice(runs).pop(0))
        made.append(ev.RoundFinished(number))
    return made


def _tokens(rng: random.Random, count: int) -> tuple[int, ...]:
    return tuple(rng.choices(range(len(TEXTS)), k=count))


def _steps(
    rng: random.Random, lane: str, request: str, slot: int, answer: tuple[int, ...], counted: bool
) -> Iterator[ev.Step]:
    before = index = 0
    while before < len(answer):
        k = 0 if lane == "ar" else rng.randint(0, 4)
        left = answer[before:]
        drafted = list(_tokens(rng, rng.choice((k, k, k, rng.randint(0, k)))))
        right = 0
        while right < min(len(drafted), len(left)) and (drafted[right] == left[right] or rng.random() < 0.6):
            drafted[right] = left[right]
            right += 1
        own = left[right] if right < len(left) else rng.randrange(len(TEXTS))
        if right < len(drafted) and drafted[right] == own:
            right += 1
            own = rng.choice([token for token in TEXTS if right >= len(drafted) or token != drafted[right]])
        verified = (*drafted[:right], own)
        emitted, cut = verified[: len(left)], verified[len(left) :]
        if cut and rng.random() < 0.3:
            cut = cut[:-1]
        yield ev.Step(
            lane=lane,
            request=request,
            slot=slot,
            index=index,
            k=k,
            drafted=tuple(drafted),
            accepted=right,
            emitted=emitted,
            cut=cut,
            own=None if len(emitted) + len(cut) == right else "recovered" if right < len(drafted) else "bonus",
            cut_reason="length" if before + len(emitted) >= len(answer) else None,
            text=tuple(TEXTS[token] for token in emitted + cut),
            drafted_text=tuple(TEXTS[token] for token in drafted),
            batch=1,
            wall_ns=1_000,
            clock_ns=1_000 * (index + 1),
            before=before if counted else None,
        )
        before += len(emitted)
        index += 1
