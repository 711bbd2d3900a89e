"""Finds what makes no sense in a server's message although every field has its type.

What a server sends is not trusted: everything that is counted, kept or shown later is within these bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spectui.protocol.events import Totals
from spectui.protocol.limits import MAX_K, MAX_TOKENS
from spectui.wire import messages as wire

MOST = 2**53 - 1
"""The largest number: sums of it and of what other sessions reached fit into a trace."""

MOST_ROWS = 8_192
"""Requests in one engine step, more than any engine has seats."""

MOST_REQUESTS = 16_384
"""Requests of one endpoint that are followed at once."""

MOST_WORDS = 1 << 21
"""Tokens of a vocabulary; the largest has a quarter of a million."""

MOST_TEXT = 512
"""Characters of a name or of a sentence."""

MOST_JSON = 16_384
"""Characters of a configuration."""

MOST_ITEMS = 4_096
"""Items of one packet."""


def whole(*numbers: int | None) -> bool:
    """Whether all are counts; None is none, and allowed."""
    return all(number is None or 0 <= number <= MOST for number in numbers)


def short(*texts: str) -> bool:
    """Whether none is too long."""
    return all(len(text) <= MOST_TEXT for text in texts)


def tokens(ids: Iterable[int]) -> bool:
    """Whether all are ids of tokens."""
    return all(0 <= token < MOST_WORDS for token in ids)


def counted(of: Sequence[int] | int) -> int:
    """How many tokens, of which the ids may be known."""
    return of if isinstance(of, int) else len(of)


def totals(numbers: list[int]) -> Totals | None:
    """The totals of a message; None if they make no sense. A server has no silent steps: see `stream._own`."""
    if len(numbers) > len(Totals._fields) or not whole(*numbers):
        return None
    found = Totals(*numbers)._replace(silent=0)
    return found if _agreeing(found) else None


def _agreeing(found: Totals) -> bool:
    """Whether totals do not contradict each other."""
    return found.accepted <= found.drafted and found.drafts <= found.steps


def sound_packet(packet: wire.Packet) -> bool:
    """Whether the packet's own fields make sense, whatever is in it."""
    return 0 < len(packet.session) <= 128 and whole(packet.number, packet.at_ns) and len(packet.items) <= MOST_ITEMS


def sound_about(about: wire.About) -> bool:
    """Whether a server's description makes sense."""
    names = (about.model, about.tokenizer, about.revision, about.method, about.host, about.device, about.dtype)
    return (
        0 <= about.k_max <= MAX_K
        and 0 <= about.share <= 1
        and short(*names, about.why, about.fixed_k, *about.served_names, *about.versions, *about.versions.values())
        and len(about.speculative) <= MOST_JSON
        and max(len(about.served_names), len(about.versions)) <= 64
        and 0 <= about.dp_rank < max(1, about.dp_size) <= 1 << 20
        and 0 <= about.vocabulary <= MOST_WORDS
        and whole(about.pid, about.tensor_parallel, about.pipeline_parallel, about.seats)
    )


def sound_standing(standing: wire.Standing) -> bool:
    """Whether a server's sums make sense by themselves; its totals are looked at elsewhere."""
    at = (*standing.accepted_at, *standing.drafted_at)
    return (
        max(len(standing.accepted_at), len(standing.drafted_at)) <= MAX_K
        and whole(*at, standing.clock_ns, standing.draft_ns, standing.verify_ns)
        and whole(standing.engine_steps, standing.waiting, standing.dropped)
        and 0 <= standing.k <= MAX_K
        and len(standing.running) <= MOST_REQUESTS
        and len({running.slot for running in standing.running}) == len(standing.running)
        and all(map(_sound_running, standing.running))
    )


def _sound_running(running: wire.Running) -> bool:
    return (
        short(running.request)
        and whole(running.slot, running.started_ns)
        and _lengths(running.prompt_tokens, running.emitted, running.steps)
    )


def sound_began(began: wire.Began) -> bool:
    """Whether the beginning of a request makes sense."""
    return (
        short(began.request)
        and whole(began.slot, began.started_ns)
        and _lengths(began.prompt_tokens)
        and len(began.prompt_ids) in (0, began.prompt_tokens)
        and tokens(began.prompt_ids)
    )


def sound_step(step: wire.EngineStep) -> bool:
    """Whether an engine step makes sense by itself; its totals and the requests in it are looked at elsewhere."""
    return (
        0 <= step.k <= MAX_K
        and 0 < step.wall_ns <= step.clock_ns <= MOST
        and whole(step.draft_ns, step.verify_ns)
        and len(step.rows) <= MOST_ROWS
        and len({row.slot for row in step.rows}) == len(step.rows)
        and all(map(sound_row, step.rows))
    )


def sound_row(row: wire.Row) -> bool:
    """Whether one request's part of an engine step makes sense by itself."""
    drafted, sampled = counted(row.drafted), counted(row.sampled)
    return (
        0 <= row.accepted <= drafted <= MAX_K
        and 0 <= row.emitted <= sampled <= MAX_K + 1
        and row.accepted <= sampled
        and whole(row.slot)
        and _lengths(row.index, row.before)
        and (isinstance(row.drafted, int) or tokens(row.drafted))
        and (isinstance(row.sampled, int) or tokens(row.sampled))
    )


def known_words(words: wire.Words) -> bool:
    """Whether a part of a vocabulary makes sense by itself."""
    return 0 <= words.first < words.size <= MOST_WORDS and 0 < len(words.words) <= words.size - words.first


def _lengths(*lengths: int) -> bool:
    return all(0 <= length <= MAX_TOKENS for length in lengths)


def following(first: Totals, later: Totals) -> bool:
    """Whether ``later`` can come after ``first``: nothing became fewer, nothing changed without a step, and what is
    counted from another moment makes sense too."""
    more = later.minus(first)
    return min(more) >= 0 and (more.steps > 0 or not any(more)) and _agreeing(more)
