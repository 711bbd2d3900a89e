"""Prompts that the target makes up itself: it goes on from the first words of a user's message.

They vary more than templates can, and look like what the target was tuned on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from demos.drafters.engine import Batcher, batch_engine
from demos.drafters.pace import Pace
from demos.drafters.prompts import heldout_prompts, openings
from demos.drafters.questions import read_rows, write_rows
from spectui.sources.vllm.prompting import chat_ids

MARK = "MESSAGE"
LONGEST_TOKENS = 120
TEMPERATURES = (0.8, 1.0, 1.0)
SHORTEST, LONGEST = 12, 600
"""Characters of a prompt that is kept."""
CATEGORY = "own"
REPORT_SECONDS = 20.0


def write_own_prompts(
    target: Path,
    path: Path,
    count: int,
    *,
    seed: int,
    batch: int,
    report: Callable[[str], None],
    others: Sequence[Path] = (),
) -> None:
    """Let the target write ``count`` user messages.

    Those are kept that end in time, are not held out, and are in no file of ``others``.
    """
    engine = batch_engine(target, batch=batch)
    tokenizer = engine.get_tokenizer()
    batcher = Batcher(engine)
    rng = random.Random(seed)
    starts = openings()
    beginning: dict[str, str] = {}
    for number in range(count):
        name = str(number)
        beginning[name] = rng.choice(starts)
        parameters = {"temperature": rng.choice(TEMPERATURES), "max_tokens": LONGEST_TOKENS}
        batcher.add(name, message_start(tokenizer, beginning[name]), parameters)
    pace, said = Pace(), 0.0
    taken = {_key(prompt.text) for prompt in heldout_prompts()}
    taken |= {_key(row["prompt"]) for other in others for row in read_rows(other)}
    rows: list[dict[str, str]] = []
    while batcher.running:
        for finished in batcher.step():
            continued = tokenizer.decode(finished.ids[finished.prompt_length :], skip_special_tokens=True)
            text = (beginning[finished.name] + continued).strip()
            key = _key(text)
            if finished.stopped and SHORTEST <= len(text) <= LONGEST and key not in taken:
                taken.add(key)
                rows.append({"category": CATEGORY, "prompt": text})
        if pace.tick() - said > REPORT_SECONDS:
            said = pace.seconds
            report(f"own prompts: {len(rows)} kept, {batcher.running} to go, {pace.seconds:.0f} s")
    write_rows(path, sorted(rows, key=lambda row: row["prompt"]))


def _key(text: str) -> str:
    """What two prompts have in common that differ in case and spaces only."""
    return " ".join(text.lower().split())


def message_start(tokenizer: Any, opening: str) -> list[int]:
    """Ids of the chat template up to the opening of the user's message, which is not closed."""
    rendered = tokenizer.decode(chat_ids(tokenizer, MARK))
    before = rendered[: rendered.index(MARK)]
    return list(tokenizer.encode(before + opening, add_special_tokens=False))
