"""Benchmarks that ask something of a report: many variants, long and hostile names, nothing finished."""

from __future__ import annotations

from dataclasses import replace

from spectui.core.bench.matrix import Matrix, Variant
from spectui.core.bench.results import LaneNote, Results, results_of
from tests.support.benchmarks import (
    CATEGORIES,
    VARIANTS,
    made_up_header,
    made_up_matrix,
    made_up_results,
    made_up_turns,
)

ELEVEN = (
    *("coding", "math", "humanities", "stem", "writing", "summarization"),
    *("roleplay", "rag", "multilingual", "reasoning", "qa"),
)
HOSTILE = "</td><script>alert(1)</script>|`a``b`\n# *x* _y_ [z](http://127.0.0.1/) &lt; \x1b[31m\u202e $1$ ~~n~~"
"""What a category, lane or path may be called by somebody who means no good."""

LONG = "a lane with a name that is longer than anybody would call one if they had to type it every day"


def variants(lane: str, method: str, title: str, *ks: int) -> tuple[Variant, ...]:
    return tuple(Variant(lane, method, title, k) for k in ks)


AR = Variant("ar", "ar", "AR", 0)


def wide() -> Matrix:
    """Eleven categories, five drafting variants."""
    own = (AR, *variants("mtp", "mtp", "MTP", 1, 2, 3), *variants("dflash", "dflash", "DFlash", 3, 7))
    return made_up_matrix((1, 4, 16), ELEVEN, variants=own)


def sweep() -> Matrix:
    """Every K of three lanes, two contexts; two of the lanes are called alike."""
    own = (AR, *variants("mtp", "mtp", "MTP", *range(1, 9)), *variants("dflash", "dflash", "DFlash", *range(1, 16)))
    own += variants(LONG, "dflash", "DFlash", 7)
    return made_up_matrix((1, 4), ("coding", "math"), (None, 8192), own)


def alone() -> Matrix:
    """Without AR, and with a single category."""
    return made_up_matrix((1,), CATEGORIES[:1], variants=VARIANTS[1:])


def plain() -> Matrix:
    """Only AR."""
    return made_up_matrix((1, 4), variants=(AR,))


def hostile() -> Results:
    """Hostile text wherever a user, a model or an engine can put any."""
    own = (AR, Variant(HOSTILE, "dflash", HOSTILE, 3))
    matrix = made_up_matrix((1,), ("coding", HOSTILE), variants=own)
    results = made_up_results(matrix, target=f"/models/{HOSTILE}")
    path = f"/no/utf-8/\udcff/{HOSTILE}"
    header = replace(
        results.header,
        command=f"spectui bench --out '{path}'",
        device=HOSTILE,
        environment={"machine": HOSTILE, "versions": {HOSTILE: HOSTILE}, "settings": {"LD_PRELOAD": path}},
        lanes=(LaneNote("ar", "ar"), LaneNote(HOSTILE, HOSTILE, None, path, HOSTILE, HOSTILE)),
        prompts=replace(results.header.prompts, source=path, system=HOSTILE, padding=HOSTILE),
    )
    cells = tuple(
        replace(cell, figures=replace(cell.figures, disturbed=1, disagreements=(HOSTILE,))) for cell in results.cells
    )
    return replace(results, header=header, cells=cells, left_out=(HOSTILE,), smoke={HOSTILE: {"fault": HOSTILE}})


def unfinished(turns: int) -> Results:
    """A benchmark of 18 turns, of which so many are taken."""
    matrix = made_up_matrix()
    return results_of(made_up_header(matrix), matrix, made_up_turns(matrix)[:turns])


CASES = {
    "small": made_up_results,
    "wide": lambda: made_up_results(wide()),
    "sweep": lambda: made_up_results(sweep()),
    "alone": lambda: made_up_results(alone()),
    "plain": lambda: made_up_results(plain()),
    "hostile": hostile,
    "nothing": lambda: unfinished(0),
    "begun": lambda: unfinished(3),
    "half": lambda: unfinished(12),
}
