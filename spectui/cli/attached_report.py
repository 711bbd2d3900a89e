"""Formats what is known of attached servers: lines, tables, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from spectui.core.attached.views import AttachedView, EndpointRow, RequestRow
from spectui.core.state import RunState
from spectui.core.summary import lane_summary
from spectui.figures import DASH, ms_text, number_text, percent_text, share_text
from spectui.protocol.events import TuneTurn


def request_line(row: RequestRow) -> str:
    """A request that has ended, in one line."""
    return (
        f"{row.lane:<12} request {row.request} ended ({row.finished}): {row.emitted} tokens, K {_whole(row.k)}, length "
        f"{number_text(row.length, form='.2f')}, rate {share_text(row.rate)}, {number_text(row.tok_s, 'tok/s', '.1f')}"
    )


def sum_line(view: AttachedView) -> str:
    """How all endpoints together stand, in one line."""
    row = view.total or view.endpoints[0]
    live = sum(one.stage == "live" for one in view.endpoints)
    servers = f"{live} of {len(view.endpoints)} servers, " if view.total is not None else ""
    acceptance = f"length {number_text(row.length, form='.2f')}, rate {share_text(row.rate)}"
    return (
        f"{servers}{_whole(row.running)} in flight, {_whole(row.waiting)} waiting, {_whole(row.emitted)} tokens, "
        f"{number_text(row.tok_s, 'tok/s', '.1f')}, {acceptance}, step {ms_text(_seconds(row.step_ms))}"
    )


def endpoint_table(state: RunState, view: AttachedView) -> list[str]:
    """A row for each endpoint over the whole run, and what is wrong with it."""
    width = max(8, *(len(row.title) for row in view.endpoints))
    lines = [
        f"{'':<12} {'endpoint':<{width}}  {'state':<10} {'K':>3} {'tokens':>8} {'tok/s':>8} {'length':>7} {'rate':>5}  "
        "by position"
    ]
    lines += [_table_row(state, row, width) for row in view.endpoints]
    for row in view.endpoints:
        if missing := _missing(row):
            lines.append(f"{row.lane:<12} {missing}")
        if row.why:
            lines.append(f"{row.lane:<12} {row.why}")
    return lines


def _table_row(state: RunState, row: EndpointRow, width: int) -> str:
    found = lane_summary(state.lanes[row.lane], None)
    length, rate = found.acceptance_length, found.draft_acceptance_rate
    if length is None and rate is None:
        # As the server states them, where it gives no counters.
        length, rate = row.length, row.rate
    return (
        f"{row.lane:<12} {row.title:<{width}}  {row.stage:<10} {_whole(row.k):>3} {_whole(row.emitted):>8} "
        f"{number_text(found.tok_s, form='.1f'):>8} {number_text(length, form='.2f'):>7} {share_text(rate):>5}  "
        f"{' '.join(map(share_text, found.acceptance_by_position)) or DASH}"
    )


def _missing(row: EndpointRow) -> str:
    """What did not get here, in words; empty if everything did."""
    parts = []
    if row.lost is None:
        parts.append("an unknown number of steps was not seen")
    elif row.lost:
        parts.append(f"{row.lost:,} steps not seen: counted everywhere except in acceptance by position")
    if row.dropped:
        parts.append(f"the server dropped {row.dropped:,} messages")
    if row.malformed:
        parts.append(f"{row.malformed:,} messages made no sense")
    return "; ".join(parts)


def endpoint_documents(state: RunState, view: AttachedView, gaps: Mapping[str, int]) -> list[dict[str, Any]]:
    """What ``--json`` says of each endpoint beside its lane's summary. None is what is not known."""
    return [_document(state, row, gaps) for row in view.endpoints]


def _document(state: RunState, row: EndpointRow, gaps: Mapping[str, int]) -> dict[str, Any]:
    lane = state.lanes[row.lane]
    server = lane.server
    seen, serving = (None, None) if server is None else (server.seen, server.serving)
    sample = None if server is None else server.counters.last
    found = lane.acceptance.read()
    since = None if serving is None or serving.since_start is None else serving.since_start._asdict()
    return {
        "lane": row.lane,
        "address": lane.info.spec if seen is None else seen.address,
        "kind": row.kind,
        "state": row.stage,
        "why": row.why or None,
        "model": row.model or None,
        "version": (seen.version if seen else "") or None,
        "host": (seen.host if seen else "") or None,
        "rank": seen.rank if seen else None,
        "ranks": seen.ranks if seen else None,
        "k": row.k,
        "k_max": row.k_max,
        "control": row.control,
        "drafts_visible": seen.drafts if seen else None,
        "redaction": (seen.redaction if seen else "") or None,
        "share": seen.share if seen else None,
        "tokens": row.emitted,
        "step_ms": row.step_ms,
        "draft_ms": row.draft_ms,
        "verify_ms": row.verify_ms,
        "drafted_at": found.reached,
        "accepted_at": found.kept,
        # Counters know nothing of steps and messages.
        "steps_lost": row.lost if sample is None else None,
        "gaps": gaps.get(row.lane, 0) if sample is None else None,
        "dropped": row.dropped if serving else None,
        "malformed": row.malformed,
        "since_start": None
        if serving is None
        else {
            "totals": since,
            "drafted_at": serving.drafted_at,
            "accepted_at": serving.accepted_at,
            "engine_s": serving.clock_ns / 1e9,
        },
        "counters": None if sample is None else asdict(sample),
    }


def tuning_table(turn: TuneTurn) -> list[str]:
    """What a search knows of every K."""
    requests = f"{turn.requests} request{'s' if turn.requests > 1 else ''} in flight on average"
    lines = [
        f"{turn.turn} turns, {turn.spent_s:.0f} s of engine steps, {requests}",
        f"     K  {'tok/s (95 %)':<24} {'over K=0':>8} {'length':>7} {'drafting':>8} "
        f"{'draft':>8} {'verify':>8} {'step':>8}",
    ]
    for figure in turn.figures:
        mark = "*" if figure.k == turn.best else " " if figure.running else "-"
        sure = figure.low is not None and figure.high is not None
        interval = f"({figure.low:.1f} to {figure.high:.1f})" if sure else ""
        lines.append(
            f"  {mark} {figure.k:>2}  {number_text(figure.tok_s, form='.1f'):<7} {interval:<16} "
            f"{number_text(figure.speed_up, form='.2f'):>8} {number_text(figure.length, form='.2f'):>7} "
            f"{percent_text(figure.drafting):>8} {ms_text(figure.draft_s):>8} {ms_text(figure.verify_s):>8} "
            f"{ms_text(figure.step_s):>8}"
        )
    lines.append("     each at the fastest one's load; intervals: against the fastest K, its own against the second")
    if any(not figure.running for figure in turn.figures):
        lines.append("     -  dropped: certainly slower")
    return lines


def _whole(value: int | None) -> str:
    return number_text(value, form=",d")


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1e3
