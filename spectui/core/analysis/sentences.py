"""What to say first of a lane, in three sentences at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spectui.core.analysis.measured import Measured
from spectui.core.analysis.results import LEAST, Confusion, Share, Weakness
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
        few = f"only {overall.count} drafted token{'' if overall.count == 1 else 's'} of {title} were judged"
        return (f"{few[0].upper()}{few[1:]}: too few to say where it is weak.",)
    said = [_weak(title, one) for one in weaknesses[:2]] if weaknesses else [_none(title, overall)]
    said += [one for one in (_certain(measured), _confused(title, confusions), _copied(measured)) if one]
    return tuple(said[:MOST])


def _weak(title: str, one: Weakness) -> str:
    here = one.acceptance
    return (
        f"{title} is weak {one.where}: {percent_text(here.value)} of its drafted tokens there are accepted "
        f"({_range(here)}, of {here.count:,}), {percent_text(one.expected)} at other tokens in the same places; "
        f"the difference costs {_tokens(one.excess)} of 100 drafted tokens."
    )


def _none(title: str, overall: Share) -> str:
    return (
        f"No weakness of {title} stands out: {percent_text(overall.value)} of its judged tokens are accepted "
        f"({_range(overall)}, of {overall.count:,}), "
        "and no kind of token or place differs from the others beyond chance."
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


def _confused(title: str, confusions: Sequence[Confusion]) -> str:
    if not confusions or confusions[0].count < MOST:
        return ""
    worst = confusions[0]
    return (
        f"Its most expensive confusion is {_quoted(worst.drafted_text)} for {_quoted(worst.wanted_text)}: "
        f"{worst.count:,} times, {worst.lost:,} tokens lost."
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


def _quoted(text: str) -> str:
    """A token's text so that spaces and line ends show."""
    return repr(text) if text else "a piece of a character"
