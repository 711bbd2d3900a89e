"""What to say first of a lane, in three sentences at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spectui.core.analysis.measured import Measured
from spectui.core.analysis.results import LEAST, Confusion, Share, Weakness
from spectui.core.analysis.words import RECORD_LONGER, token_name
from spectui.figures import percent_text

MOST = 3
SURE, TIE = 0.9, 0.5
"""The target's probability of its own token from which on it was sure, and below which a refusal was a near tie."""


def sentences(
    measured: Measured, weaknesses: Sequence[Weakness], confusions: Sequence[Confusion], overall: Share
) -> tuple[str, ...]:
    """The weakness first, or that there is none; then what else stands out."""
    title = measured.lane.title
    if not measured.drafted:
        return (f"{title} drafted nothing, so there is nothing to judge.",)
    if overall.count < LEAST:
        few = "1 drafted token was" if overall.count == 1 else f"{overall.count} drafted tokens were"
        return (f"Only {few} judged, {LEAST} are needed: {RECORD_LONGER}.",)
    # What most tokens have in common says little, however certain it is.
    least_first = sorted(weaknesses, key=lambda one: 2 * one.acceptance.count > overall.count)
    within = _within(measured)
    said = [f"{within}{_weak(title, one, overall.count)}" for one in least_first[:2]] or [_none(title, overall)]
    said += [one for one in (_certain(measured), _confused(confusions), _copied(measured)) if one]
    return tuple(said[:MOST])


def _within(measured: Measured) -> str:
    """What one prompt's answers say holds for them; no interval can tell of others."""
    requests = np.unique(measured.places.request)
    if len(np.unique(measured.cluster[requests])) > 1:
        return ""
    return "In this one answer, " if len(requests) == 1 else "In these answers to one prompt, "


def _weak(title: str, one: Weakness, judged: int) -> str:
    here = one.acceptance
    cost = f"the difference costs {_tokens(one.excess)} of 100 drafted tokens"
    if 2 * here.count > judged:
        # Their cost would be that of nearly everything.
        cost = f"but they are {percent_text(here.count / judged)} of all, so it may be the others that are easy"
    return (
        f"{title} is weak {one.where}: {percent_text(here.value)} of its drafted tokens there are accepted "
        f"({_range(here)}, of {here.count:,}), {percent_text(one.expected)} at other tokens at the same positions of "
        f"their drafts; {cost}."
    )


def _none(title: str, overall: Share) -> str:
    return (
        f"No weakness of {title} is certain from {overall.count:,} judged tokens: {percent_text(overall.value)} of "
        f"them are accepted ({_range(overall)}). A longer run may show one; what the tables mark is only a hint."
    )


def _certain(measured: Measured) -> str:
    """What the target's certainty says of the refusals, where it was recorded."""
    places = measured.places
    if places.probability is None:
        return ""
    refused = places.probability[~places.right & ~np.isnan(places.probability)]
    if len(refused) < LEAST:
        return ""
    sure, tie = float((refused >= SURE).mean()), float((refused < TIE).mean())
    return (
        f"In {percent_text(sure)} of {len(refused):,} refusals that were looked into, the target was sure of its own "
        f"token (probability {SURE:g} or more): these are the drafter's; in {percent_text(tie)} it was not (below "
        f"{TIE:g}): these are nobody's fault."
    )


def _confused(confusions: Sequence[Confusion]) -> str:
    worst = next((one for one in confusions if one.ranked), None)
    if worst is None:
        return ""
    return (
        f"Its most expensive mistake: it drafts {token_name(worst.drafted_text, worst.drafted)} where the target wants "
        f"{token_name(worst.wanted_text, worst.wanted)}, {worst.count:,} times, {worst.lost:,} tokens lost."
    )


def _copied(measured: Measured) -> str:
    """How many of the refused tokens the drafter could have copied."""
    refused = measured.places.copyable[~measured.places.right]
    refused = refused[refused >= 0]
    if len(refused) < LEAST:
        return ""
    return (
        f"In {percent_text(float(refused.mean()))} of {len(refused):,} refusals, the wanted token could have been "
        "copied from the context, as n-gram does."
    )


def _range(of: Share) -> str:
    low, high = percent_text(of.low), percent_text(of.high)
    return f"{low.removesuffix(' %')} to {high}"


def _tokens(excess: float) -> str:
    return f"{excess:.1f}" if excess < 10 else f"{excess:.0f}"
