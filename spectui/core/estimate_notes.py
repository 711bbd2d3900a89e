"""Explains in sentences for the user what the cost model's estimates are based on."""

from __future__ import annotations

from collections.abc import Sequence

from spectui.protocol.events import KFigure

ALWAYS = 0.95
"""From this share of steps with a draft on, drafting is too regular to mention."""


def estimate_notes(figures: Sequence[KFigure]) -> list[str]:
    """At which K the acceptance behind each estimate was measured, why some K have no estimate, and how often drafts
    come."""
    estimated = [figure for figure in figures if figure.accepted_at is not None]
    own = [figure.k for figure in estimated if figure.accepted_at == figure.k]
    notes = []
    if own and len(own) == len(estimated):
        notes.append(f"est.: acceptance measured at {'K = ' + str(own[0]) if len(own) == 1 else 'each K'}.")
    elif estimated:
        sources = sorted({figure.accepted_at for figure in estimated if figure.accepted_at is not None})
        parts = [
            f"{k_span([figure.k for figure in estimated if figure.accepted_at == at])} measured at K = {at}"
            for at in sources
        ]
        notes.append(f"est.: acceptance of {', of '.join(parts)}.")
    for why in dict.fromkeys(figure.no_estimate for figure in figures if figure.no_estimate):
        notes.append(f"no est. for {k_span([figure.k for figure in figures if figure.no_estimate == why])}: {why}.")
    shares = {figure.k: figure.drafting for figure in figures if figure.drafting is not None}
    if rare := {k: share for k, share in shares.items() if share < ALWAYS}:
        parts = [f"{share * 100:.0f} % of the steps at K = {k}" for k, share in rare.items()]
        notes.append(f"A draft was found in {', '.join(parts)}.")
    return notes


def k_span(ks: Sequence[int]) -> str:
    """Formats a list of K, such as ``K = 0, 1, 3 to 5``."""
    runs: list[list[int]] = []
    for k in ks:
        if runs and k == runs[-1][-1] + 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    parts = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return f"K = {', '.join(parts)}"
